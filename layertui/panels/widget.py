"""The base of the panels' widgets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual.containers import Vertical
from textual.widget import Widget

if TYPE_CHECKING:
    from layertui.jobs.runner import Job
    from layertui.model.view import StoreView
    from layertui.panels.browser import Browser
    from layertui.widgets.filter_bar import FilterBar


class Panel(Vertical):
    """Shows one aspect of the layer under the cursor.

    A panel submits its own jobs with itself as the target, and caches what they return. The screen shows an error of a
    job that the panel does not handle itself in a dialog.
    """

    DEFAULT_CSS = """
    Panel { height: 1fr; }
    """

    def show(self, browser: Browser) -> None:
        """Show the layer under the cursor.

        The screen calls this while the panel is visible: when it becomes visible, when the cursor rests on another
        layer, and when the store, the sizes or the layer to compare with have changed. A panel that shows all of that
        already does nothing.
        """
        raise NotImplementedError

    def hide(self) -> None:
        """Stop looking things up: the panel is not visible any more, or the cursor is on another layer."""

    def forget(self) -> None:
        """Drop everything that is cached. What is visible stays until it is replaced."""

    def forget_changed(self, view: StoreView) -> None:
        """Drop what a write to the store may have changed: everything about layers without a digest.

        `view` is the store as it is now.
        """

    @property
    def running(self) -> Job[Any] | None:
        """A job that takes long enough to be cancelled, if one runs."""
        return None

    @property
    def filter_bar(self) -> FilterBar | None:
        """The bar that filters what the panel shows."""
        return None

    def awaits_filter(self, text: str) -> bool:
        """Return whether the result of this filter is not shown yet."""
        del text
        return False

    @property
    def focus_target(self) -> Widget:
        """The widget that takes the keys when the panel is entered."""
        return next(widget for widget in self.query("*").results(Widget) if widget.focusable)

    def toggle_order(self) -> bool:
        """Sort in the next order; return False if the panel has only one."""
        return False

    def back(self) -> bool:
        """Undo one step inside the panel; return False if there is nothing to undo."""
        return False
