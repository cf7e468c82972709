"""Live tensor memory during a run; torch frees a tensor with its last reader."""

import weakref
from functools import partial

import torch
from torch import Tensor


class LiveBytes:
    """Track the bytes of live tensor storages, on any device including `meta`.

    Attributes:
        now: bytes alive at present.
        peak: the most that were alive at once.
    """

    def __init__(self) -> None:
        self.now = 0
        self.peak = 0
        self._known: dict[int, weakref.ref[torch.UntypedStorage]] = {}

    def ignore(self, tensor: Tensor) -> None:
        """Exclude a tensor's storage, as of weights, which live before and after the run."""
        storage = tensor.untyped_storage()
        self._known[storage._cdata] = weakref.ref(storage)

    def add(self, tensor: Tensor, *, scale: float = 1.0) -> None:
        """Count a tensor's storage until it is freed; known storages are not counted twice.

        Args:
            tensor: whose storage it is; views share one.
            scale: bytes it is taken for, per byte that it has.
        """
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._known:
            return
        size = round(storage.nbytes() * scale)
        self._known[key] = weakref.ref(storage, partial(self._free, key, size))
        self.now += size
        self.peak = max(self.peak, self.now)

    def _free(self, key: int, size: int, _: object) -> None:
        self._known.pop(key, None)
        self.now -= size
