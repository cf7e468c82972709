"""Writes the containers of `torch.save` around any pickle, well formed or not."""

import io
import pickle
import struct
import zipfile
from pathlib import Path

MAGIC = 0x1950A86A20F9469CFC6C


def zip_container(
    path: Path,
    pickled: bytes,
    *,
    storages: dict[str, bytes] | None = None,
    extra: dict[str, bytes] | None = None,
    compression: int = zipfile.ZIP_STORED,
) -> Path:
    entries = {"data.pkl": pickled, "byteorder": b"little", "version": b"3\n"}
    entries |= {f"data/{key}": data for key, data in (storages or {}).items()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in (entries | (extra or {})).items():
            archive.writestr(f"archive/{name}", data)
    return path


def legacy_container(
    path: Path, pickled: bytes, *, storages: dict[str, tuple[int, bytes]] | None = None
) -> Path:
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}
    stream = io.BytesIO()
    for value in (MAGIC, 1001, system):
        stream.write(pickle.dumps(value, protocol=2))
    stream.write(pickled)
    stream.write(pickle.dumps(list(storages or {}), protocol=2))
    for length, data in (storages or {}).values():
        stream.write(struct.pack("<q", length) + data)
    path.write_bytes(stream.getvalue())
    return path


class Writer:
    """A pickle, opcode by opcode."""

    def __init__(self, protocol: int = 2) -> None:
        self.data = b"\x80" + bytes([protocol])

    def raw(self, opcodes: bytes) -> "Writer":
        self.data += opcodes
        return self

    def text(self, value: str) -> "Writer":
        encoded = value.encode()
        return self.raw(b"X" + struct.pack("<I", len(encoded)) + encoded)

    def number(self, value: int) -> "Writer":
        return self.raw(b"\x8a\x08" + struct.pack("<q", value))

    def name(self, module: str, name: str) -> "Writer":
        return self.raw(f"c{module}\n{name}\n".encode())

    def stack_name(self, module: str, name: str) -> "Writer":
        return self.text(module).text(name).raw(b"\x93")

    def numbers(self, *values: int) -> "Writer":
        self.raw(b"(")
        for value in values:
            self.number(value)
        return self.raw(b"t")

    def call(self, module: str, name: str, *arguments: str) -> "Writer":
        self.name(module, name).raw(b"(")
        for argument in arguments:
            self.text(argument)
        return self.raw(b"tR")

    def storage(self, key: str, length: int, *, kind: str = "FloatStorage") -> "Writer":
        self.raw(b"(").text("storage").name("torch", kind).text(key).text("cpu")
        return self.number(length).raw(b"tQ")

    def tensor(
        self,
        key: str = "0",
        *,
        length: int = 4,
        offset: int = 0,
        shape: tuple[int, ...] = (2, 2),
        stride: tuple[int, ...] = (2, 1),
        kind: str = "FloatStorage",
    ) -> "Writer":
        self.name("torch._utils", "_rebuild_tensor_v2").raw(b"(")
        self.storage(key, length, kind=kind).number(offset)
        self.numbers(*shape).numbers(*stride).raw(b"\x89")
        return self.name("collections", "OrderedDict").raw(b")RtR")

    def state_dict(self, **options: object) -> "Writer":
        """A dictionary with one tensor, `weight`."""
        return self.raw(b"}").text("weight").tensor(**options).raw(b"s")  # type: ignore[arg-type]

    def end(self) -> bytes:
        return self.data + b"."
