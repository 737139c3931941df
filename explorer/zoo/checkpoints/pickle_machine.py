"""Pickle's opcodes interpreted without any way to run code.

A pickle is a program, and one of its instructions calls any function by name. This interpreter knows plain values,
containers and the names that its caller gives it a stand-in for; everything else is refused by name. Nothing is
imported and nothing of the file's choosing is called.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Iterable, Mapping
from typing import IO, Any, Protocol, cast

from explorer.zoo.checkpoints.tensors import FormatError

_MAX_TUPLE_DEPTH = 32  # hashing tuples nested by the hundred thousand overflows C's stack
_MOST_STEPS = 5_000_000  # a detector's file takes some 50,000; an instruction of one byte can make an object of 100
_LARGEST_KEY = 2**53  # above it, whole numbers can be chosen so that their hashes clash, which takes quadratic time
_TIMES_GIVEN = 2  # text that stands for bytes is given to `_codecs.encode`, and its bytes to the array

# fmt: off
_ARGUMENT_OPS = frozenset({
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES",
    "BINBYTES8", "BYTEARRAY8",
})
# fmt: on
_CONSTANT_OPS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_TUPLE": tuple,
}
_TUPLE_OPS = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_PUT_OPS = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
_GET_OPS = frozenset({"GET", "BINGET", "LONG_BINGET"})
_IGNORED_OPS = frozenset({"PROTO", "FRAME", "STOP"})


class PickleError(FormatError):
    """The pickle is damaged, or asks for something that no checkpoint needs."""


# What Python raises where a pickle does not make sense.
_DAMAGED = (ArithmeticError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError, ValueError)


class Stream(Protocol):
    """What a pickle is read from: a file, or a file's bytes in memory."""

    def read(self, size: int, /) -> bytes: ...

    def readline(self) -> bytes: ...


class StandIn:
    """What a constructor named in the file is replaced by; subclasses read the state that BUILD gives them."""

    def build(self, state: Any) -> None:
        """Takes the object's state."""


def check_keys(items: Iterable[Any]) -> list[tuple[Any, Any]]:
    """Returns key-value pairs whose keys are text or numbers of ordinary size."""
    pairs = [(key, value) for key, value in items]
    for key, _ in pairs:
        if not isinstance(key, (str, int, float, bytes)):
            raise PickleError(f"has a dictionary key that is a {type(key).__name__}")
        if isinstance(key, (int, float)) and not -_LARGEST_KEY < key < _LARGEST_KEY:
            raise PickleError("has a dictionary key that is too large a number")
    return pairs


class Machine:
    """Pickle's stack machine over stand-ins, in bounded time and memory.

    A pickle can refer to what it holds as often as it likes. So what its calls are given is counted, and ends them.

    Args:
        names: `module.name` -> stand-in that REDUCE may call; a name outside is refused.
        persistent: receives persistent ids.
        size: bytes of the file.
    """

    def __init__(self, names: Mapping[str, Any], persistent: Callable[[Any], Any], size: int) -> None:
        self.names = names
        self.persistent = persistent
        self.steps_left = _MOST_STEPS
        self.bytes_left = _TIMES_GIVEN * size
        self.stack: list[Any] = []
        self.marked: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.nested: dict[int, tuple[Any, int]] = {}
        """Tuples of tuples by their identity, kept so that it stays theirs, and how deep they are."""

    def run(self, stream: Stream) -> Any:
        """Reads one pickle from `stream` and leaves it behind the last opcode.

        Raises:
            PickleError: as the class says.
        """
        try:
            for opcode, argument, _ in pickletools.genops(cast("IO[bytes]", stream)):
                self._step(opcode.name, argument)
            return self.stack.pop()
        except FormatError:
            raise
        except (
            ArithmeticError,
            AttributeError,
            LookupError,
            MemoryError,
            RuntimeError,
            TypeError,
            ValueError,
        ) as error:
            raise PickleError(f"is damaged ({type(error).__name__}: {str(error)[:120]})") from None

    def _step(self, name: str, argument: Any) -> None:
        self._spend(1, 0)
        if name in _ARGUMENT_OPS:
            self.stack.append(argument)
        elif name in _CONSTANT_OPS:
            self.stack.append(_CONSTANT_OPS[name]())
        elif name in _PUT_OPS:
            self.memo[argument] = self.stack[-1]
        elif name in _GET_OPS:
            self.stack.append(self.memo[argument])
        elif name in _TUPLE_OPS:
            self._push_tuple(self._pop(_TUPLE_OPS[name]))
        elif name == "GLOBAL":
            self._push_global(*argument.split(" ", 1))
        elif name not in _IGNORED_OPS:
            operation = _OPERATIONS.get(name)
            if operation is None:
                raise PickleError(f"uses pickle's instruction {name}, which no checkpoint needs")
            operation(self)

    def _spend(self, steps: int, size: int) -> None:
        self.steps_left -= steps
        self.bytes_left -= size
        if self.steps_left < 0 or self.bytes_left < 0:
            raise PickleError("asks for more than a file of its size needs: it may be a bomb")

    def _give(self, values: Iterable[Any]) -> None:
        """Counts what a call may copy."""
        for value in values:
            if isinstance(value, (str, bytes, bytearray)):
                self._spend(0, len(value))
            elif isinstance(value, (list, tuple, dict)):
                self._spend(len(value), 0)

    def _pop(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise IndexError("pop from an empty stack")
        items = self.stack[-count:]
        del self.stack[-count:]
        return items

    def _pop_to_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.marked.pop()
        return items

    def mark(self) -> None:
        self.marked.append(self.stack)
        self.stack = []

    def memoize(self) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def pop(self) -> None:
        self.stack.pop()

    def pop_mark(self) -> None:
        self._pop_to_mark()

    def duplicate(self) -> None:
        self.stack.append(self.stack[-1])

    def tuple_of_marked(self) -> None:
        self._push_tuple(self._pop_to_mark())

    def _push_tuple(self, items: list[Any]) -> None:
        made = tuple(items)
        depth = 1 + max(
            (self.nested.get(id(item), (item, 1))[1] for item in items if isinstance(item, tuple)), default=0
        )
        if depth > _MAX_TUPLE_DEPTH:
            raise PickleError(f"nests tuples more than {_MAX_TUPLE_DEPTH} deep")
        if depth > 1:
            self.nested[id(made)] = made, depth
        self.stack.append(made)

    def list_of_marked(self) -> None:
        items = self._pop_to_mark()
        self.stack.append(items)

    def append(self) -> None:
        target, item = self._pop(2)
        self._extend(target, [item])
        self.stack.append(target)

    def appends(self) -> None:
        items = self._pop_to_mark()
        self._extend(self.stack[-1], items)

    def _extend(self, target: Any, items: list[Any]) -> None:
        if not isinstance(target, list):
            raise PickleError(f"appends to a {type(target).__name__}")
        target.extend(items)

    def dict_of_marked(self) -> None:
        items = self._pop_to_mark()
        self.stack.append(dict(check_keys(zip(items[::2], items[1::2], strict=True))))

    def set_item(self) -> None:
        target, key, value = self._pop(3)
        self._update(target, [key, value])
        self.stack.append(target)

    def set_items(self) -> None:
        items = self._pop_to_mark()
        self._update(self.stack[-1], items)

    def _update(self, target: Any, items: list[Any]) -> None:
        if not isinstance(target, dict):
            raise PickleError(f"sets keys of a {type(target).__name__}")
        target.update(check_keys(zip(items[::2], items[1::2], strict=True)))

    def stack_global(self) -> None:
        module, name = self._pop(2)
        self._push_global(module, name)

    def _push_global(self, module: str, name: str) -> None:
        full = f"{module}.{name}"
        if full not in self.names:
            raise PickleError(f"asks for {full[:80]}, which no checkpoint needs: it may try to run code")
        self.stack.append(self.names[full])

    def reduce(self) -> None:
        function, arguments = self._pop(2)
        if not callable(function) or not isinstance(arguments, tuple):
            raise PickleError("calls something that is not a constructor")
        self._give(arguments)
        self.stack.append(function(*arguments))

    def new_object(self) -> None:
        kind = self.stack[-2]
        if not (isinstance(kind, type) and issubclass(kind, (StandIn, dict))):
            raise PickleError("uses pickle's instruction NEWOBJ for something that is not an object of a checkpoint")
        self.reduce()

    def build(self) -> None:
        target, state = self._pop(2)
        if isinstance(target, StandIn):
            self._give(state if isinstance(state, tuple) else ())
            target.build(state)
        elif not isinstance(target, dict):  # a state dict's `_metadata`, of no use here
            raise PickleError(f"sets attributes of a {type(target).__name__}")
        self.stack.append(target)

    def persistent_id(self) -> None:
        self.stack.append(self.persistent(self.stack.pop()))


_OPERATIONS: dict[str, Callable[[Machine], None]] = {
    "MARK": Machine.mark,
    "MEMOIZE": Machine.memoize,
    "POP": Machine.pop,
    "POP_MARK": Machine.pop_mark,
    "DUP": Machine.duplicate,
    "TUPLE": Machine.tuple_of_marked,
    "LIST": Machine.list_of_marked,
    "APPEND": Machine.append,
    "APPENDS": Machine.appends,
    "DICT": Machine.dict_of_marked,
    "SETITEM": Machine.set_item,
    "SETITEMS": Machine.set_items,
    "STACK_GLOBAL": Machine.stack_global,
    "REDUCE": Machine.reduce,
    "NEWOBJ": Machine.new_object,
    "BUILD": Machine.build,
    "BINPERSID": Machine.persistent_id,
}
