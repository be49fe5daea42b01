"""What a check found, by severity, as the nodes of a tree. No screen in here."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from layerstore.check.findings import Finding, Severity
from layertui.widgets.tree.shape import ROOT, TreeShape, build_shape

TITLES = {
    Severity.DAMAGE: ("Damage", "damaged", "something is lost or wrong"),
    Severity.LEFTOVER: ("Leftovers", "leftover", "they take place for nothing"),
    Severity.NOTE: ("Notes", "note", "good to know"),
}
"""The groups in the order in which they are shown, what is counted, and what it means."""

_ID = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")


def brief(finding: Finding) -> str:
    """Return the text of a finding for a line of a list: IDs with 12 characters; not made safe."""
    return _ID.sub(r"\1", finding.text)


@dataclass(frozen=True, slots=True)
class FindingList:
    """Findings below the group that they belong to, in preorder; groups without any are left out."""

    nodes: tuple[Severity | Finding, ...]
    keys: tuple[str, ...]
    shape: TreeShape

    def finding(self, node: int) -> Finding | None:
        """Return the finding at a node, None where there is a group or nothing."""
        found = self.nodes[node] if 0 <= node < len(self.nodes) else None
        return found if isinstance(found, Finding) else None

    def below(self, node: int) -> Sequence[int]:
        """Return the node itself if it is a finding, else those of the group."""
        if not 0 <= node < len(self.nodes):
            return ()
        return [node] if self.finding(node) is not None else list(self.shape.children(node))


def build_findings(findings: Iterable[Finding]) -> FindingList:
    """Put findings in groups, in the order in which they came."""
    groups: dict[Severity, list[Finding]] = {severity: [] for severity in TITLES}
    for finding in findings:
        groups[finding.severity].append(finding)
    nodes: list[Severity | Finding] = []
    keys: list[str] = []
    parents = array("l")
    times: dict[str, int] = {}
    for severity, group in groups.items():
        if not group:
            continue
        head = len(nodes)
        nodes.append(severity)
        keys.append(severity.value)
        parents.append(ROOT)
        for finding in group:
            key = "\0".join(finding.key)
            times[key] = times.get(key, 0) + 1
            nodes.append(finding)
            keys.append(f"{key}\0{times[key]}")
            parents.append(head)
    return FindingList(tuple(nodes), tuple(keys), build_shape(parents))
