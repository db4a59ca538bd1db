"""What holds for every visit."""

from hypothesis import given
from hypothesis import strategies as st

from eyebright_common.release import BOTH_EYES, Eye, Verdict, decide_image, decide_patient

images = st.builds(
    decide_image, st.floats(0, 1), threshold=st.just(0.5), gradable=st.booleans(), reasons=st.just(("blur",))
)
visits = st.dictionaries(st.sampled_from(list(Eye)), st.lists(images, max_size=4))


@given(visits)
def test_no_referral_is_said_only_when_both_eyes_were_judged_below_the_threshold(visit) -> None:
    decision = decide_patient(visit)
    judged = {eye.eye for eye in decision.eyes if eye.verdict is Verdict.NO_REFERRAL}
    assert (decision.verdict is Verdict.NO_REFERRAL) == (judged == {eye.eye for eye in decision.eyes})
    assert set(BOTH_EYES) <= {eye.eye for eye in decision.eyes}


@given(visits)
def test_a_patient_is_never_called_missing(visit) -> None:
    assert decide_patient(visit).verdict is not Verdict.MISSING


@given(visits, images, st.sampled_from(list(Eye)))
def test_one_more_picture_never_takes_a_referral_back(visit, picture, eye) -> None:
    before = decide_patient(visit)
    after = decide_patient({**visit, eye: [*visit.get(eye, []), picture]})
    assert before.verdict is not Verdict.REFER or after.verdict is Verdict.REFER


@given(visits, st.randoms())
def test_the_order_of_the_pictures_does_not_matter(visit, random) -> None:
    shuffled = {eye: random.sample(pictures, len(pictures)) for eye, pictures in visit.items()}
    assert decide_patient(shuffled).verdict is decide_patient(visit).verdict


@given(visits)
def test_every_answer_but_no_referral_gives_a_reason(visit) -> None:
    decision = decide_patient(visit, retakes=3)
    assert bool(decision.reasons) == (decision.verdict is not Verdict.NO_REFERRAL)
