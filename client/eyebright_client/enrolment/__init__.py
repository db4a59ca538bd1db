"""Joining the federation, and leaving it: the home folder, the keys made here, the teacher fetched by digest."""

from eyebright_client.enrolment.home import HospitalHome, Membership
from eyebright_client.enrolment.joining import join, leave, read_invitation
from eyebright_client.enrolment.teacher import fetch_published_teacher, fetch_teacher

__all__ = [
    "HospitalHome",
    "Membership",
    "fetch_published_teacher",
    "fetch_teacher",
    "join",
    "leave",
    "read_invitation",
]
