"""Several budgets at once: the set of models that a product ships, from one recipe."""

from .choice import Family, Member, choose_family
from .members import Wanted, parse_member, read_members
from .page import write_family

__all__ = [
    "Family",
    "Member",
    "Wanted",
    "choose_family",
    "parse_member",
    "read_members",
    "write_family",
]
