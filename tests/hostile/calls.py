"""Pickles that call what executes, opens, connects or loads further code, in every container that is read."""

from __future__ import annotations

from collections.abc import Iterator

from tests.hostile.attacks import Attack
from tests.hostile.opcodes import call, state, torch_legacy, torch_zip

CANARY = "RAN"
_COMMAND = f"touch {CANARY}"
_CODE = f"open('{CANARY}', 'w')"

_CALLS: list[tuple[object, ...]] = [
    ("os", "system", _COMMAND),
    ("posix", "system", _COMMAND),
    ("nt", "system", _COMMAND),
    ("os", "popen", _COMMAND),
    ("os", "execvp", "touch", ["touch", CANARY]),
    ("os", "posix_spawnp", "touch", ["touch", CANARY]),
    ("os", "mkdir", CANARY),
    ("os", "putenv", "A", "B"),
    ("subprocess", "call", ["touch", CANARY]),
    ("subprocess", "Popen", ["touch", CANARY]),
    ("subprocess", "check_output", ["touch", CANARY]),
    ("subprocess", "getoutput", _COMMAND),
    ("commands", "getoutput", _COMMAND),
    ("pty", "spawn", ["touch", CANARY]),
    ("builtins", "eval", _CODE),
    ("builtins", "exec", _CODE),
    ("__builtin__", "eval", _CODE),
    ("__builtin__", "apply", "print", ["x"]),
    ("builtins", "compile", "1", "x", "exec"),
    ("builtins", "__import__", "os"),
    ("builtins", "open", CANARY, "w"),
    ("builtins", "getattr", "x", "join"),
    ("builtins", "setattr", "x", "join", 1),
    ("builtins", "globals"),
    ("builtins", "input"),
    ("builtins", "breakpoint"),
    ("builtins", "bytearray", 48_000_000_000),
    ("__builtin__", "bytearray", 48_000_000_000),
    ("builtins", "eval.__call__", "1"),
    ("io", "open", CANARY, "w"),
    ("_io", "FileIO", CANARY, "w"),
    ("pathlib", "Path.touch", CANARY),
    ("shutil", "rmtree", "."),
    ("tempfile", "mkdtemp"),
    ("importlib", "import_module", "os"),
    ("pkgutil", "resolve_name", "os:system"),
    ("runpy", "run_path", CANARY),
    ("runpy", "_run_code", "1"),
    ("code", "interact"),
    ("pdb", "run", "1"),
    ("timeit", "timeit", _CODE),
    ("cProfile", "run", "1"),
    ("ctypes", "CDLL", "libc.so.6"),
    ("marshal", "loads", "x"),
    ("types", "FunctionType", "x"),
    ("types", "CodeType", 1),
    ("functools", "partial", "x"),
    ("functools", "reduce", "x", ["y"]),
    ("operator", "attrgetter", "system"),
    ("operator", "methodcaller", "system", _COMMAND),
    ("copyreg", "_reconstructor", "x"),
    ("copyreg", "add_extension", "os", "system", 1),
    ("copy_reg", "_reconstructor", "x"),
    ("pickle", "loads", "x"),
    ("_pickle", "loads", "x"),
    ("cloudpickle", "loads", "x"),
    ("dill", "loads", "x"),
    ("joblib", "load", CANARY),
    ("codecs", "decode", "x", "base64"),
    ("zlib", "decompress", "x"),
    ("lzma", "decompress", "x"),
    ("bz2", "decompress", "x"),
    ("gzip", "open", CANARY, "w"),
    ("zipfile", "ZipFile", CANARY, "w"),
    ("tarfile", "open", CANARY),
    ("socket", "create_connection", ["127.0.0.1", 9]),
    ("urllib.request", "urlopen", "http://127.0.0.1:9/"),
    ("http.client", "HTTPConnection", "127.0.0.1"),
    ("webbrowser", "open", "http://127.0.0.1:9/"),
    ("multiprocessing", "Process"),
    ("threading", "Thread"),
    ("signal", "raise_signal", 9),
    ("sys", "exit", 0),
    ("atexit", "register", "x"),
    ("logging.config", "listen"),
    ("yaml", "unsafe_load", "x"),
    ("numpy", "load", CANARY),
    ("numpy", "fromfile", CANARY),
    ("numpy", "memmap", CANARY),
    ("numpy.testing._private.utils", "runstring", "1", "x"),
    ("torch", "load", CANARY),
    ("torch", "zeros", 10**12),
    ("torch.hub", "load", "x", "y"),
    ("torch.jit", "load", CANARY),
    ("torch.ops", "load_library", "libc.so.6"),
    ("torch.utils.cpp_extension", "load_inline", "x"),
    ("torch.storage", "_load_from_bytes", "x"),
    ("torch._utils", "_rebuild_device_tensor_from_numpy", "x"),
    ("torch._utils", "_rebuild_parameter_with_state", "x"),
    ("torch._utils", "_rebuild_wrapper_subclass", "x"),
    ("torch._utils", "_rebuild_sparse_tensor", "x"),
    ("torch._utils", "_rebuild_qtensor", "x"),
    ("torch._tensor", "_rebuild_from_type_v2", "x"),
    ("torch.nn.modules.linear", "Linear", 10**6, 10**6),
    ("torch.serialization", "add_safe_globals", ["x"]),
    ("detectron2.utils.registry", "locate", "os.system"),
    ("hydra.utils", "instantiate", "x"),
    ("explorer.zoo.checkpoints.pickles", "read_pickle", "x"),
]


def attacks() -> Iterator[Attack]:
    for module, function, *arguments in _CALLS:
        pickled = state(call(str(module), str(function), *arguments))
        called = f"{module}.{function}"
        says = rf"it asks for {called.replace('.', '[.]')}, which no checkpoint needs"
        yield Attack(f"{called} in .pkl", "checkpoint", {"x.pkl": pickled}, says)
        yield Attack(f"{called} in .pth", "checkpoint", {"x.pth": torch_zip(pickled)}, says)
        yield Attack(f"{called} in old .pth", "checkpoint", {"x.pth": torch_legacy(pickled)}, says)
