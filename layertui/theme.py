"""The colour themes. No information is in colour alone, so the browser is usable with 16 colours or none."""

from __future__ import annotations

from textual.theme import Theme

DARK = Theme(
    name="layertui-dark",
    primary="#5b8def",
    secondary="#8fa8d8",
    accent="#7fd1c7",
    success="#8ccf7e",
    warning="#e6b566",
    error="#ef6b73",
    foreground="#d5dae3",
    background="#10141b",
    surface="#161b24",
    panel="#1e2531",
    dark=True,
    variables={
        "border": "#7fd1c7",
        "border-blurred": "#2f3a4b",
        "scrollbar": "#334155",
        "scrollbar-hover": "#47607f",
        "scrollbar-active": "#5b8def",
        "scrollbar-background": "#10141b",
        "scrollbar-background-hover": "#10141b",
        "scrollbar-background-active": "#10141b",
        "footer-key-foreground": "#7fd1c7",
        "input-selection-background": "#5b8def 40%",
    },
)

LIGHT = Theme(
    name="layertui-light",
    primary="#2f5fc4",
    secondary="#4a648f",
    accent="#0f766e",
    success="#2f7d32",
    warning="#9a5b00",
    error="#b3261e",
    foreground="#10151c",
    background="#fbfbf9",
    surface="#f1f2f0",
    panel="#e4e7ea",
    dark=False,
    variables={
        "border": "#0f766e",
        "border-blurred": "#c3c9d1",
        "scrollbar": "#c3c9d1",
        "scrollbar-hover": "#9aa5b4",
        "scrollbar-active": "#2f5fc4",
        "scrollbar-background": "#fbfbf9",
        "scrollbar-background-hover": "#fbfbf9",
        "scrollbar-background-active": "#fbfbf9",
        "footer-key-foreground": "#0f766e",
        "input-selection-background": "#2f5fc4 30%",
        "panel-lighten-1": "#d5dade",
    },
)

CONTRAST = Theme(
    name="layertui-contrast",
    primary="#5555ff",
    secondary="#55ffff",
    accent="#55ffff",
    success="#55ff55",
    warning="#ffff55",
    error="#ff5555",
    foreground="#ffffff",
    background="#000000",
    surface="#000000",
    panel="#0000aa",
    dark=True,
    variables={
        "text-primary": "#55ffff",
        "text-accent": "#55ffff",
        "text-success": "#55ff55",
        "text-warning": "#ffff55",
        "text-error": "#ff5555",
        "border": "#55ffff",
        "border-blurred": "#aaaaaa",
        "scrollbar": "#aaaaaa",
        "scrollbar-hover": "#ffffff",
        "scrollbar-active": "#55ffff",
        "scrollbar-background": "#000000",
        "scrollbar-background-hover": "#000000",
        "scrollbar-background-active": "#000000",
        "footer-key-foreground": "#55ffff",
        "input-selection-background": "#0000aa",
        "panel-lighten-1": "#555555",
        "primary-muted": "#0000aa",
        "error-muted": "#aa0000",
    },
)
"""A high-contrast theme made of the 16 standard colours, which terminals with 16 colours show unchanged."""

THEMES = (DARK, LIGHT, CONTRAST)


def usual_theme(colours: str | None) -> str:
    """Return the name of the default theme.

    `colours` is Rich's name for the colour system of the terminal.
    """
    return CONTRAST.name if colours == "standard" else DARK.name
