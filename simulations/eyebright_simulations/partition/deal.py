"""Dealing patient groups to the operator and to hospitals.

A *group* is what must never be parted: a patient with both eyes, and every near-duplicate of any of their pictures.

* ``site``: a group goes to the site that holds most of its pictures; the pictures that move are counted.
* ``iid``: groups of each class are shuffled and dealt in turn.
* ``dirichlet:ALPHA``: each class is dealt by proportions drawn from Dirichlet(ALPHA): label skew (Hsu et al. 2019,
  arXiv 1909.06335). Drawn again, a bounded number of times, until no hospital is nearly empty.
* The operator's share is the site named ``operator`` where the data has one, otherwise a stratified share.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eyebright_common.errors import InputError

OPERATOR = "operator"
_REDRAWS = 200

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """Where each picture is held.

    Attributes:
        hospitals: Hospital names, in index order.
        holder: For each picture its hospital's index, or -1 for the operator.
        moved: Pictures that left their recorded site so that their group stays whole.
    """

    hospitals: tuple[str, ...]
    holder: Integers
    moved: int


def deal(
    groups: Integers,
    labels: Integers,
    sites: Sequence[str],
    *,
    method: str,
    hospitals: int | None,
    operator_share: float,
    seed: int,
) -> Partition:
    """Deal pictures to the operator and to hospitals, whole groups at a time.

    Args:
        groups: Group of each picture, ``[N]``.
        labels: Class index of each picture, ``[N]``.
        sites: Recorded site of each picture, ``N`` of them; empty where unknown.
        method: ``site``, ``iid`` or ``dirichlet:ALPHA``.
        hospitals: How many hospitals; None means as many as there are sites, or three.
        operator_share: Share of the groups for the operator when no site is called ``operator``.
        seed: Seed of the deal.

    Raises:
        InputError: the method is unknown, or the data cannot be dealt that way.
    """
    random = np.random.default_rng([seed, 0xDEA1])
    table = _GroupTable.of(groups, labels, sites)
    operated = _operator_groups(table, operator_share, random)
    rest = np.flatnonzero(~operated)
    names, owner = _DEALS[_method_name(method)](table, rest, method, hospitals, random)
    holder_of_group = np.full(len(table.key), -1, dtype=np.int64)
    holder_of_group[rest] = owner
    holder = holder_of_group[table.member]
    return Partition(hospitals=names, holder=holder, moved=_moved(names, holder, sites) if method == "site" else 0)


def _moved(names: tuple[str, ...], holder: Integers, sites: Sequence[str]) -> int:
    """Count pictures held by another hospital than the one that recorded them."""
    names_held = np.array([*names, OPERATOR], dtype=object)[holder]
    recorded = np.array(sites, dtype=object)
    return int(((names_held != recorded) & (holder >= 0) & (recorded != "")).sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class _GroupTable:
    key: Integers  # [G] the group numbers
    member: Integers  # [N] row of each picture in this table
    label: Integers  # [G] commonest label
    site: tuple[str, ...]  # [G] commonest site

    @classmethod
    def of(cls, groups: Integers, labels: Integers, sites: Sequence[str]) -> _GroupTable:
        key, member = np.unique(groups, return_inverse=True)
        classes: list[Counter[int]] = [Counter() for _ in key]
        places: list[Counter[str]] = [Counter() for _ in key]
        for row, label, site in zip(member, labels, sites, strict=True):
            classes[row][int(label)] += 1
            places[row][site] += 1
        # Ties go to the smaller label and the first site by name: the order of the rows must not matter.
        commonest = np.array([min(c, key=lambda k: (-c[k], k)) for c in classes], dtype=np.int64)
        held = tuple(min(p, key=lambda k: (-p[k], k)) for p in places)
        return cls(key=key, member=member.astype(np.int64), label=commonest, site=held)


def _operator_groups(table: _GroupTable, share: float, random: np.random.Generator) -> NDArray[np.bool_]:
    if OPERATOR in table.site:
        return np.array([site == OPERATOR for site in table.site])
    chosen = np.zeros(len(table.key), dtype=bool)
    for label in np.unique(table.label):
        rows = random.permutation(np.flatnonzero(table.label == label))
        chosen[rows[: max(1, round(share * len(rows)))]] = True
    return chosen


def check_method(method: str) -> None:
    """Return when ``method`` names a way of dealing.

    Raises:
        InputError: it does not, or its ALPHA is not a positive number.
    """
    if _method_name(method) == "dirichlet":
        _checked_alpha(method)


def _method_name(method: str) -> str:
    name = method.partition(":")[0]
    if name not in _DEALS:
        raise InputError("unknown partition", value=method, fix="Use site, iid or dirichlet:ALPHA, e.g. dirichlet:0.5.")
    return name


def _named(count: int) -> tuple[str, ...]:
    return tuple(f"hospital-{number}" for number in range(1, count + 1))


def _by_site(
    table: _GroupTable, rest: Integers, method: str, hospitals: int | None, random: np.random.Generator
) -> tuple[tuple[str, ...], Integers]:
    names = tuple(sorted({table.site[row] for row in rest}))
    if names in ((), ("",)):
        raise InputError("the data has no `site` column to divide by", fix="Use --partition iid or dirichlet:0.5.")
    if "" in names:
        raise InputError("some rows have no `site`", fix="Fill the column, or use --partition iid.")
    if hospitals is not None and hospitals != len(names):
        raise InputError(
            f"the data has {len(names)} sites, but --hospitals asks for another number",
            value=hospitals,
            fix="Leave --hospitals out, or use --partition iid.",
        )
    return names, np.array([names.index(table.site[row]) for row in rest], dtype=np.int64)


def _iid(
    table: _GroupTable, rest: Integers, method: str, hospitals: int | None, random: np.random.Generator
) -> tuple[tuple[str, ...], Integers]:
    count = _checked_count(hospitals, len(rest))
    owner = np.zeros(len(rest), dtype=np.int64)
    dealt = 0
    for label in np.unique(table.label[rest]):
        rows = random.permutation(np.flatnonzero(table.label[rest] == label))
        owner[rows] = (np.arange(len(rows)) + dealt) % count
        dealt += len(rows)
    return _named(count), owner


def _dirichlet(
    table: _GroupTable, rest: Integers, method: str, hospitals: int | None, random: np.random.Generator
) -> tuple[tuple[str, ...], Integers]:
    alpha = _checked_alpha(method)
    count = _checked_count(hospitals, len(rest))
    least = max(2, len(rest) // (20 * count))
    for _ in range(_REDRAWS):
        owner = np.zeros(len(rest), dtype=np.int64)
        for label in np.unique(table.label[rest]):
            rows = random.permutation(np.flatnonzero(table.label[rest] == label))
            cuts = (np.cumsum(random.dirichlet([alpha] * count))[:-1] * len(rows)).round().astype(int)
            for hospital, part in enumerate(np.split(rows, cuts)):
                owner[part] = hospital
        if np.bincount(owner, minlength=count).min() >= least:
            return _named(count), owner
    raise InputError(
        f"no Dirichlet draw left every hospital {least} patients",
        value=method,
        fix="Use a larger ALPHA or fewer hospitals.",
    )


def _checked_count(hospitals: int | None, groups: int) -> int:
    count = 3 if hospitals is None else hospitals
    if count < 1 or groups < 4 * count:
        raise InputError(
            f"{groups} patients cannot be dealt to that many hospitals",
            value=count,
            fix="Each hospital needs at least 4 patients: use fewer hospitals or more data.",
        )
    return count


def _checked_alpha(method: str) -> float:
    text = method.partition(":")[2]
    try:
        alpha = float(text)
    except ValueError:
        alpha = 0.0
    if not 0.0 < alpha < float("inf"):
        raise InputError("dirichlet needs a positive ALPHA", value=text or method, fix="For example dirichlet:0.5.")
    return alpha


_DEALS = {"site": _by_site, "iid": _iid, "dirichlet": _dirichlet}
