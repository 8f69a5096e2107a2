#!/usr/bin/env python3
"""Reads a Hugging Face model folder with Python's standard library alone, by the documentation of its formats.

Prints one JSON object: the config, and for every tensor its type, shape and the SHA-256 of its bytes. Anything that the
documentation of safetensors forbids is an error: it is what a reader that is not ours makes of our files.
"""
import hashlib
import json
import os
import re
import struct
import sys

BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}


def read_file(path):
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        assert 2 <= length <= min(100_000_000, size - 8), f"{path}: header of {length} bytes"
        text = file.read(length)
        assert text[:1] == b"{", f"{path}: the header begins with {text[:1]!r}"
        header = json.loads(text.decode("utf-8").rstrip(" "), object_pairs_hook=without_duplicates)
        metadata = header.pop("__metadata__", {})
        assert all(isinstance(value, str) for value in metadata.values()), f"{path}: metadata is no map of texts"
        assert (8 + length) % 8 == 0, f"{path}: the data is not aligned"
        end = 0
        tensors = {}
        for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
            assert set(entry) == {"dtype", "shape", "data_offsets"}, f"{path}: {name} has {sorted(entry)}"
            begin, stop = entry["data_offsets"]
            assert begin == end, f"{path}: {name} begins at {begin}, not at {end}"
            count = BYTES[entry["dtype"]]
            for extent in entry["shape"]:
                count *= extent
            assert stop - begin == count, f"{path}: {name} has {stop - begin} bytes, not {count}"
            file.seek(8 + length + begin)
            tensors[name] = {
                "dtype": entry["dtype"],
                "shape": entry["shape"],
                "sha256": hashlib.sha256(file.read(count)).hexdigest(),
            }
            end = stop
        assert 8 + length + end == size, f"{path}: {size - 8 - length - end} bytes are left over"
    return tensors


def without_duplicates(pairs):
    assert len({name for name, _ in pairs}) == len(pairs), "a name is there twice"
    return dict(pairs)


def read_folder(folder):
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    assert len(config["architectures"]) == 1 and config["model_type"], "config.json names no architecture"
    index_path = os.path.join(folder, "model.safetensors.index.json")
    if not os.path.exists(index_path):
        tensors = read_file(os.path.join(folder, "model.safetensors"))
        return {"config": config, "files": ["model.safetensors"], "tensors": tensors}
    with open(index_path, encoding="utf-8") as file:
        index = json.load(file, object_pairs_hook=without_duplicates)
    files = sorted(set(index["weight_map"].values()))
    assert not os.path.exists(os.path.join(folder, "model.safetensors")), "an index, and one file beside it"
    tensors = {}
    total = 0
    for i, name in enumerate(files):
        match = re.fullmatch(r"model-(\d{5})-of-(\d{5})\.safetensors", name)
        assert match and int(match[1]) == i + 1 and int(match[2]) == len(files), f"a shard is called {name}"
        for tensor, entry in read_file(os.path.join(folder, name)).items():
            assert index["weight_map"].get(tensor) == name, f"{tensor} is in {name}, and the index does not say so"
            tensors[tensor] = entry
            count = BYTES[entry["dtype"]]
            for extent in entry["shape"]:
                count *= extent
            total += count
    assert set(tensors) == set(index["weight_map"]), "the index names what no file has"
    assert index["metadata"]["total_size"] == total, f"total_size is {index['metadata']['total_size']}, not {total}"
    return {"config": config, "files": files, "tensors": tensors}


if __name__ == "__main__":
    json.dump(read_folder(sys.argv[1]), sys.stdout)
