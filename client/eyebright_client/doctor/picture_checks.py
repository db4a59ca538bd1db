"""Checks on pictures: what cannot be read, copies, modality, quality, what files say about people, looks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from eyebright_client.doctor.case import Case
from eyebright_client.doctor.findings import Finding, Level, by_share
from eyebright_client.doctor.patients import named_patients, sets_of_copies
from eyebright_client.doctor.sharing import numbered, people_table, shareable_reasons, suppressed
from eyebright_common.imaging.identifiers import name_identifiers

_MOST_UNREADABLE = 0.01
_MOST_WRONG = 0.05
_MOST_UNGRADABLE = 0.30
_SIDES = (256, 512, 1024, 2048, 4096)


def unreadable_finding(case: Case) -> Finding:
    """Pictures that cannot be read, by reason."""
    reasons = Counter(found.reason for found in case.facts if found.reason)
    count = sum(reasons.values())
    return Finding(
        check="unreadable",
        level=by_share(count, len(case.facts), stop_above=_MOST_UNREADABLE),
        sentence=f"{count} of {len(case.facts)} pictures cannot be read and are left out."
        if count
        else "Every picture can be read.",
        fix="Copy or export them again: the local list names each with its fix." if count else "",
        numbers={"reasons": shareable_reasons(reasons)},
    )


def format_finding(case: Case) -> Finding:
    """Formats, colour depth, wrong endings."""
    facts = [case.facts[index] for index in case.readable]
    misnamed = sum(found.misnamed for found in case.facts)
    return Finding(
        check="formats",
        level=Level.WARN if misnamed else Level.INFO,
        sentence=f"{misnamed} files are another format than their ending says; they are read all the same."
        if misnamed
        else "Every file is what its ending says.",
        fix="Find out who renames them: it is often the sign of a broken export." if misnamed else "",
        numbers={
            "formats": people_table(Counter(found.format for found in facts)),
            "depths": people_table(Counter(found.mode for found in facts)),
            "misnamed": misnamed,
        },
    )


def exact_copy_finding(case: Case) -> Finding:
    """Pictures that are pixel for pixel the same."""
    sets = sets_of_copies(case.together.exact)
    conflicts = sum(len({case.rows[index].label for index in members}) > 1 for members in sets)
    foreign = sum(len(named_patients(case.rows, members)) > 1 for members in sets)
    return _copies("exact_copies", "pixel for pixel the same", len(sets), sum(map(len, sets)), conflicts, foreign)


def near_copy_finding(case: Case) -> Finding:
    """The same photograph re-encoded, mirrored or altered."""
    alone = {frozenset(members) for members in sets_of_copies(case.together.exact)}
    sets = [members for members in sets_of_copies(case.together.near) if frozenset(members) not in alone]
    conflicts = sum(len({case.rows[index].label for index in members}) > 1 for members in sets)
    foreign = sum(len(named_patients(case.rows, members)) > 1 for members in sets)
    return _copies("near_copies", "copies of one photograph", len(sets), sum(map(len, sets)), conflicts, foreign)


def _copies(check: str, words: str, sets: int, pictures: int, conflicts: int, foreign: int) -> Finding:
    numbers = {"sets": sets, "pictures": pictures, "sets_with_two_labels": conflicts, "sets_with_two_patients": foreign}
    if not sets:
        return Finding(check=check, level=Level.OK, sentence=f"No pictures are {words}.", numbers=numbers)
    return Finding(
        check=check,
        level=Level.STOP if conflicts or foreign else Level.WARN,
        sentence=f"{sets} sets of pictures ({pictures} in all) are {words}; {conflicts} with two labels, "
        f"{foreign} under two patients.",
        fix="Decide whose they are and what they show: the local list names them. Until then they stay together."
        if conflicts or foreign
        else "They are kept on one side of every split.",
        numbers=numbers,
    )


def modality_finding(case: Case) -> Finding:
    """B-scans among photographs and the other way round."""
    wrong = Counter(found.wrong_modality for found in case.facts if found.wrong_modality)
    count = sum(wrong.values())
    return Finding(
        check="modality",
        level=by_share(count, len(case.readable), stop_above=_MOST_WRONG),
        sentence=f"{count} pictures are of another modality than the manifest says; they are left out."
        if count
        else f"Every picture that can be told is {case.task.modality}.",
        fix="Correct the column modality, or take them out." if count else "",
        numbers={"instead": dict(wrong)},
    )


def quality_finding(case: Case) -> Finding:
    """What the quality gate says, by reason."""
    judged = [found for found in (case.facts[index] for index in case.readable) if not found.wrong_modality]
    rejected = Counter(found.reasons[0] for found in judged if found.verdict == "reject")
    verdicts = Counter(found.verdict for found in judged)
    count = sum(rejected.values())
    share = count / max(1, len(judged))
    return Finding(
        check="quality",
        level=Level.WARN if share > _MOST_UNGRADABLE else Level.INFO if count else Level.OK,
        sentence=f"{count} of {len(judged)} pictures ({share:.1%}) cannot be graded.",
        fix="See the reasons; a few are usual, a third is a camera or an export." if share > _MOST_UNGRADABLE else "",
        numbers={"verdicts": dict(verdicts), "reasons": dict(rejected.most_common())},
    )


def identifier_finding(case: Case) -> Finding:
    """Identifying fields in files and patterns in their names. Training reads none of them."""
    in_files = Counter(kind for found in case.facts for kind in found.identifiers)
    in_names = Counter(kind for row in case.rows for kind in name_identifiers(row.name))
    files = sum(bool(found.identifiers) for found in case.facts)
    names = sum(bool(name_identifiers(row.name)) for row in case.rows)
    return Finding(
        check="identifiers",
        level=Level.INFO if files or names else Level.OK,
        sentence=f"{files} files hold identifying fields and {names} file names look identifying. "
        "Training reads neither; never give these files away."
        if files or names
        else "Neither files nor file names say anything about a person.",
        numbers={"in_files": dict(in_files.most_common()), "in_names": dict(in_names.most_common())},
    )


def text_finding(case: Case) -> Finding:
    """Letters burned into pictures."""
    count = sum(found.text for found in case.facts)
    return Finding(
        check="burned_in_text",
        level=Level.WARN if count else Level.OK,
        sentence=f"{count} pictures seem to have letters burned in."
        if count
        else "No letters were found in the pictures.",
        fix=_text_fix(case.task.modality) if count else "",
        numbers={"pictures": count},
    )


def _text_fix(modality: str) -> str:
    if modality == "CFP":
        return "Beside the field they are blackened before training. Look at some; switch the overlay off on export."
    return "They are trained on and may hold a name. Switch the overlay off and export again."


def look_finding(case: Case) -> Finding:
    """Sizes, field of view, cameras."""
    facts = [case.facts[index] for index in case.readable]
    cameras = numbered((case.rows[index].camera for index in case.readable), "camera")
    by_camera = Counter(cameras[case.rows[index].camera] or "unknown" for index in case.readable)
    sizes = _histogram(min(found.width, found.height) for found in facts)
    numbers: dict[str, object] = {
        "shorter_side": people_table(sizes),
        "cameras": people_table(dict(by_camera)),
    }
    if case.task.modality == "CFP":
        unbounded = sum(not found.bounded for found in facts)
        cut = sum(found.bounded and found.coverage < 0.9 for found in facts)
        numbers["field"] = people_table({"whole": len(facts) - unbounded - cut, "cut": cut, "not_found": unbounded})
    small = sum(min(found.width, found.height) < 512 for found in facts)
    return Finding(
        check="look",
        level=Level.INFO,
        sentence=f"{len(facts)} pictures of {len(set(by_camera) - {'unknown'})} named cameras; {suppressed(small)} "
        "have a shorter side below 512 pixels, where the smallest lesions vanish.",
        numbers=numbers,
    )


def _histogram(sides: Iterable[int]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for side in sides:
        above = next((limit for limit in _SIDES if side < limit), None)
        counts[f"below {above}" if above else f"{_SIDES[-1]} and more"] += 1
    order = [*(f"below {limit}" for limit in _SIDES), f"{_SIDES[-1]} and more"]
    return {name: counts[name] for name in order if counts[name]}


PICTURE_CHECKS = (
    unreadable_finding,
    format_finding,
    exact_copy_finding,
    near_copy_finding,
    modality_finding,
    quality_finding,
    identifier_finding,
    text_finding,
    look_finding,
)
