"""The signs of the list of layers."""

from __future__ import annotations

from layertui.panels.base import Sign

_DIM = "$foreground 60%"

SIGNS: tuple[Sign, ...] = (
    Sign("╭ │ ╰", "", "a chain of layers, each built on the one above it in the list"),
    Sign("├─ ╰─", "", "layers with the same parent"),
    Sign("▸ +3", "", "folded: three layers are hidden"),
    Sign("●", "bold $text-accent", "marked with {layers.mark}"),
    Sign("mounted×2", "$text-success", "mounted twice"),
    Sign("mounted×0", "$text-success", "mounted but not counted, as after a crash"),
    Sign("↗mounted", "$text-success", "mounted in the mount namespace of another program"),
    Sign("!stale mount", "$text-warning", "recorded as mounted, but not mounted; {layer.unmount} clears the record"),
    Sign("=base", "$text-warning", "changes are shown against this layer; {layer.compare-from} on it stops that"),
    Sign("read-only", _DIM, "cannot be written to"),
    Sign("volatile", _DIM, "belongs to a container that does not survive a reboot"),
    Sign("shared", _DIM, "is in an additional image store, which is never changed"),
    Sign("incomplete", "$text-warning", "part of its content is missing"),
    Sign("!no parent", "bold $text-error", "the record of its parent is missing"),
    Sign("!cycle", "bold $text-error", "its chain of parents leads back to itself"),
    Sign("inc mnt shr", "", "incomplete, mounted and shared where space is short; vol is volatile, ro read-only"),
    Sign("unused", _DIM, "no image or container needs it"),
    Sign("nginx", "bold $text-secondary", "an image whose top layer this is"),
    Sign("[web]", "bold $text-secondary", "a container whose layer this is"),
    Sign("12 MB+", "", "at least: one of the added sizes is unknown"),
)
