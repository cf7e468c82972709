"""Bytes of tensors that are alive while a network runs; torch frees one with its last reader."""

import weakref
from functools import partial

import torch
from torch import Tensor


class LiveBytes:
    """Counts the storages that exist, of tensors on any device, `meta` included.

    Attributes:
        now: bytes alive at present.
        peak: the most that were alive at once.
    """

    def __init__(self) -> None:
        self.now = 0
        self.peak = 0
        self._known: dict[int, weakref.ref[torch.UntypedStorage]] = {}

    def ignore(self, tensor: Tensor) -> None:
        """Never count this tensor's storage: it is there before and after, as weights are."""
        storage = tensor.untyped_storage()
        self._known[storage._cdata] = weakref.ref(storage)

    def add(self, tensor: Tensor, *, scale: float = 1.0) -> None:
        """Count a tensor's storage from now on until it is freed; a known one changes nothing.

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
