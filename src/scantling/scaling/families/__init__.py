"""Model families: one model for each of several budgets, all trained with one recipe."""

from .family import Family, choose_family
from .page import write_family
from .requests import MemberRequest, parse_member, read_members

__all__ = [
    "Family",
    "MemberRequest",
    "choose_family",
    "parse_member",
    "read_members",
    "write_family",
]
