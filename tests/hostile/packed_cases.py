"""Hostile Hugging Face folders of packed matrices (GPTQ, AWQ, compressed-tensors): one matrix of
the right model is packed, and wrong. Functions yield (name, files, why), as in folder_cases.py."""
import json
import struct

from model_files import base_config, base_folder, base_tensors, safetensors

NAME = "model.layers.0.self_attn.q_proj."
SIDE = 32  # of the matrix
SIZES = {"I32": 4, "F32": 4, "I64": 8, "F16": 2, "BF16": 2}


def words(count, value=0x77777777):
    return struct.pack(f"<{count}I", *[value] * count)


def halves(count, value=0.05):
    return struct.pack(f"<{count}e", *[value] * count)


def gptq():
    return {"qweight": ("I32", [SIDE // 8, SIDE], words(SIDE * SIDE // 8)),
            "qzeros": ("I32", [1, SIDE // 8], words(SIDE // 8)),
            "scales": ("F16", [1, SIDE], halves(SIDE)),
            "g_idx": ("I32", [SIDE], words(SIDE, 0))}


def awq():
    return {"qweight": ("I32", [SIDE, SIDE // 8], words(SIDE * SIDE // 8)),
            "qzeros": ("I32", [1, SIDE // 8], words(SIDE // 8)),
            "scales": ("F16", [1, SIDE], halves(SIDE))}


def compressed():
    return {"weight_packed": ("I32", [SIDE, SIDE // 8], words(SIDE * SIDE // 8)),
            "weight_scale": ("F16", [SIDE, 1], halves(SIDE)),
            "weight_shape": ("I64", [2], struct.pack("<2q", SIDE, SIDE)),
            "weight_zero_point": ("I32", [SIDE // 8, 1], words(SIDE // 8))}


METHODS = {"gptq": (gptq, {"bits": 4, "group_size": 32}),
           "awq": (awq, {"bits": 4, "group_size": 32, "version": "gemm"}),
           "compressed-tensors": (compressed, {"format": "pack-quantized"})}


def folder(method, tensors=None, shift=0, **config):
    """The right model with that one matrix packed; `tensors` and `config` change what is said.
    `shift` bytes of another tensor stand before its tensors."""
    make, settings = METHODS[method]
    header, data = base_tensors()
    whole = header.pop(NAME + "weight")
    begin, end = whole["data_offsets"]
    data = data[:begin] + data[end:]
    for entry in header.values():
        if "data_offsets" in entry and entry["data_offsets"][0] >= end:
            entry["data_offsets"] = [at - (end - begin) for at in entry["data_offsets"]]
    packed = {**make(), **(tensors or {})}
    if shift:
        header["before"] = {"dtype": "F8_E4M3", "shape": [shift],
                            "data_offsets": [len(data), len(data) + shift]}
        data += bytes(shift)
    for suffix, content in sorted(packed.items(), key=lambda one: -SIZES[(one[1] or ["F16"])[0]]):
        if content is None:
            continue
        dtype, shape, payload = content
        header[NAME + suffix] = {"dtype": dtype, "shape": shape,
                                 "data_offsets": [len(data), len(data) + len(payload)]}
        data += payload
    files = base_folder()
    quantization = {"quant_method": method, **settings, **config}
    files["config.json"] = json.dumps(
        {**base_config(), "quantization_config": quantization}).encode()
    files["model.safetensors"] = safetensors(header, data)
    return files


def valid_folders():
    for method in METHODS:
        yield method, folder(method), "the right model with a matrix packed"
    yield "gptq_v2", folder("gptq", checkpoint_format="gptq_v2"), "GPTQ's second format"
    yield "zero-bias", folder("gptq", {"bias": ("F16", [SIDE], halves(SIDE, 0))}), "a bias of zeros"


def cases():
    for method, (make, _) in METHODS.items():
        for suffix, (dtype, shape, payload) in make().items():
            label = f"{method}-{suffix}"
            if suffix in ("qweight", "qzeros", "scales", "weight_packed", "weight_scale"):
                yield f"{label}-missing", folder(method, {suffix: None}), "a tensor is missing"
            if suffix == "weight_shape":
                continue
            flat = (dtype, [len(payload) // SIZES[dtype]], payload)
            if len(shape) == 2:
                yield f"{label}-flat", folder(method, {suffix: flat}), "one dimension too few"
            deep = (dtype, [1, 1, *shape], payload)
            yield f"{label}-deep", folder(method, {suffix: deep}), "two dimensions too many"
            twice = (dtype, [shape[0] * 2, *shape[1:]], payload * 2)
            yield f"{label}-twice", folder(method, {suffix: twice}), "twice the rows"
            other = ("I32" if dtype == "F16" else "F32", *twice[1:])
            other = (other[0], shape, payload * 2) if dtype == "F16" else (other[0], shape, payload)
            yield f"{label}-type", folder(method, {suffix: other}), "another type"
    for label, scale in (("inf", b"\x00\x7c"), ("nan", b"\x00\x7e")):
        yield f"scale-{label}", folder("gptq", {"scales": ("F16", [1, SIDE], scale * SIDE)}), \
            "no number for a scale"
    huge = struct.pack(f"<{SIDE}f", *[3e38] * SIDE)
    yield "scale-huge", folder("awq", {"scales": ("F32", [1, SIDE], huge)}), "no block has it"
    yield "group-8", folder("gptq", {
        "scales": ("F16", [4, SIDE], halves(4 * SIDE)),
        "qzeros": ("I32", [4, SIDE // 8], words(SIDE // 2))}), "groups of 8"
    for label, index in (("negative", 0xffffffff), ("far", 1), ("least", 0x80000000)):
        yield f"g-idx-{label}", folder("gptq", {"g_idx": ("I32", [SIDE], words(SIDE, index))}), \
            "columns of groups that are not there"
    for shift in (1, 2, 3):
        yield f"shift-{shift}", folder("gptq", shift=shift), "words at no multiple of four"
    yield "bias", folder("gptq", {"bias": ("F16", [SIDE], halves(SIDE, 1))}), "a bias"
    for value in ("frobnicated", "", 4, None, ["gptq"], {"gptq": 1}, "awq"):
        yield f"method-{json.dumps(value)}", folder("gptq", quant_method=value), "another method"
    for key, value in (("checkpoint_format", "marlin"), ("checkpoint_format", 2),
                       ("group_size", "32"), ("group_size", 2**70)):
        yield f"gptq-{key}-{value}", folder("gptq", **{key: value}), "a setting of no sense"
    yield "awq-gemv", folder("awq", version="gemv"), "another order"
    yield "compressed-format", folder("compressed-tensors", format="marlin-24"), "another order"
    yield "compressed-transform", folder("compressed-tensors", transform_config={
        "config_groups": {"R1": {}}}), "rotations of activations"
