"""YAML configurations that construct, repeat, multiply, go round in circles, or lead elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.hostile.attacks import Attack

_OBJECT, _NOT_YAML, _ALIASES = (
    "asks to construct a Python object",
    "is not a YAML configuration",
    "aliases that stand for",
)


def _multiplied(levels: int, form: str) -> str:
    lines = [f"a0: &a0 {form.format(*['x'] * 9)}"]
    lines += [f"a{n}: &a{n} {form.format(*[f'*a{n - 1}'] * 9)}" for n in range(1, levels)]
    return "\n".join(lines)


_LIST = "[{}, {}, {}, {}, {}, {}, {}, {}, {}]"
_MAPPING = "{{p: {}, q: {}, r: {}, s: {}, t: {}, u: {}, v: {}, w: {}, x: {}}}"
_MERGED = "\n".join(
    ["a0: &a0 {x: 1}", *(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 12))]
)

_TEXTS = {
    "python/object/apply": ("SEED: !!python/object/apply:os.system ['touch RAN']", _OBJECT),
    "python/object/new": ("SEED: !!python/object/new:os.system ['touch RAN']", _OBJECT),
    "python/object": ("SEED: !!python/object:subprocess.Popen {}", _OBJECT),
    "python/name": ("SEED: !!python/name:os.system", _OBJECT),
    "python/module": ("SEED: !!python/module:os", _OBJECT),
    "python/tuple": ("SEED: !!python/tuple [1, 2]", _OBJECT),
    "an unknown tag": ("SEED: !owned {}", _OBJECT),
    "a tag on a key": ("!!python/name:os.system : 1", _OBJECT),
    "a tag by its long name": ("SEED: !<tag:yaml.org,2002:python/object/apply:os.system> ['touch RAN']", _OBJECT),
    "a tag by a directive": ("%TAG !p! tag:yaml.org,2002:python/\n---\nSEED: !p!name:os.system", _OBJECT),
    "a key twice": ("SEED: 1\nSEED: 2", "the key SEED has two values"),
    "a key twice further down": (
        "MODEL:\n  MASK_ON: True\n  DEVICE: cpu\n  MASK_ON: False",
        "the key MASK_ON has two values",
    ),
    "a key twice, once quoted": ('SEED: 1\n"SEED": 2', "the key SEED has two values"),
    "aliases that multiply lists": (_multiplied(12, _LIST), _ALIASES),
    "aliases that multiply mappings": (_multiplied(12, _MAPPING), _ALIASES),
    "merges that multiply": (_MERGED, _ALIASES),
    "a list that holds itself": ("SEED: &a [*a]", _ALIASES),
    "a mapping that holds itself": ("MODEL: &a\n  MODEL: *a", _ALIASES),
    "a list 100,000 levels deep": ("SEED: " + "[" * 100_000, _NOT_YAML),
    "mappings 10,000 levels deep": ("{a: " * 10_000 + "1" + "}" * 10_000, _NOT_YAML),
    "a text of 200,000 minus signs": (f"SEED: '{'-' * 200_000}1'", "nested too deeply"),
    "a text of 60,000 sums": (f"SEED: '1{'+1' * 60_000}'", "recursion|nested too deeply"),
    "a text that is no key": ("SEED: '{[]: 1}'", "unhashable"),
    "a number of 6,000 digits": (f"SEED: {'9' * 6000}", _NOT_YAML),
    "a date that is none": ("SEED: 2001-99-01", _NOT_YAML),
    "a number that is none": ("SEED: !!int x", _NOT_YAML),
    "bytes that are none": ("SEED: !!binary '*'", "not a valid type|YAML"),
    "a set": ("SEED: !!set {a}", "SEED"),
    "a number as a key": ("1: 2", "the key 1 is not a string"),
    "a list as a key": ("? [a]\n: 1", _OBJECT),
    "two documents": ("SEED: 1\n---\nSEED: 2", _NOT_YAML),
    "a text alone": ("touch RAN", _NOT_YAML),
    "a list alone": ("[1, 2]", _NOT_YAML),
    "an unknown key": ("MODELS: {}", "there is no key MODELS"),
    "keys where a value belongs": ("SEED: {a: 1}", "SEED"),
    "a value where keys belong": ("MODEL: 1", "MODEL"),
    "a value of another type": ("MODEL: {MASK_ON: perhaps}", "MASK_ON"),
    "another version": ("VERSION: 1", "has VERSION 1; 2 is read"),
    "a version that is a list": ("VERSION: [2]", "has VERSION"),
    "a control character": ("SEED: \x07", _NOT_YAML),
    "a file of 300 kB": ("# " + "x" * 300_000, "is larger than 262,144 bytes"),
    "itself as its base": ("_BASE_: x.yaml", "includes itself"),
    "itself by a longer way": ("_BASE_: ./../itself by a longer way/x.yaml", "includes itself|no file"),
    "an address as its base": ("_BASE_: http://127.0.0.1:9/x.yaml", "must be a .yaml file of this machine"),
    "a download of detectron2 as its base": ("_BASE_: detectron2://x.yaml", "must be a .yaml file of this machine"),
    "a list of bases with an address": ("_BASE_: [https://127.0.0.1:9/x.yaml]", "must be a .yaml file of this machine"),
    "a file of another kind as its base": ("_BASE_: /etc/passwd", "must be a .yaml file of this machine"),
    "a number as its base": ("_BASE_: 1", "must be a .yaml file of this machine"),
    "a mapping as its base": ("_BASE_: {a: b}", "must be a .yaml file of this machine"),
    "a base that is not there": ("_BASE_: y.yaml", "there is no file 'y.yaml'"),
    "a base further down": ("MODEL: {_BASE_: y.yaml}", "_BASE_"),
}


def attacks() -> Iterator[Attack]:
    for title, (text, says) in _TEXTS.items():
        yield Attack(f"{title}, a config", "config", {"x.yaml": text.encode()}, says)
    for title, files, says in _several():
        yield Attack(title, "config", files, says)


def _several() -> Iterator[tuple[str, Mapping[str, bytes | str], str]]:
    circle = {"x.yaml": b"_BASE_: y.yaml", "y.yaml": b"_BASE_: x.yaml"}
    yield "two configs that stand on each other", circle, "includes itself"
    yield "a config that stands on a link to it", {"x.yaml": b"_BASE_: y.yaml", "y.yaml": "x.yaml"}, "includes itself"
    chain = {f"{name}.yaml": f"_BASE_: {n + 1}.yaml".encode() for n, name in enumerate(["x", *range(1, 40)])}
    yield "a chain of 40 configs", chain, "includes itself"
    yield "a base that is a device", {"x.yaml": b"_BASE_: y.yaml", "y.yaml": "/dev/zero"}, "there is no file 'y.yaml'"
    yield "a base with a key twice", {"x.yaml": b"_BASE_: y.yaml", "y.yaml": b"SEED: 1\nSEED: 2"}, "SEED has two values"
    yield "a base with code", {"x.yaml": b"_BASE_: y.yaml", "y.yaml": b"SEED: !!python/name:os.system"}, _OBJECT
    other = {"x.yaml": b"_BASE_: y.yaml\nSEED: {a: 1}", "y.yaml": b"SEED: 1"}
    yield "keys where the base has a value", other, "is one value in its _BASE_"
    yield "a config in another encoding", {"x.yaml": "SEED: 1".encode("utf-32")}, _NOT_YAML
    yield "a config with zeros", {"x.yaml": b"SEED: 1\0"}, _NOT_YAML
    yield "a config of code", {"x.py": b"open('RAN', 'w')"}, "is a LazyConfig, which is (executed as )?Python code"
    yield "a config that is a device", {"x.yaml": "/dev/zero"}, "There is no configuration file"
