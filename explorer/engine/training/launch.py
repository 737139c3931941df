"""Starts training processes: alone, spawned on this machine, or as `torchrun` placed them."""

from __future__ import annotations

import multiprocessing
import os
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from detectron2.engine import launch as spawn
from detectron2.utils import comm
from torch.multiprocessing.spawn import ProcessException, ProcessExitedException

from explorer.engine.devices import DeviceError, gpu_explained, gpu_failure
from explorer.zoo.downloads import DownloadError

Job = Callable[[Namespace], object]
_MISTAKES = (ValueError, FloatingPointError, OSError, DownloadError, DeviceError)
"""What ends a run without being a fault of the program; the message says all."""


def start(job: Job, args: Namespace) -> None:
    """Runs `job(args)` in every process that `args` or torchrun's environment asks for.

    Under torchrun the environment decides and `--num-gpus` only chooses between CPU (0) and GPU. Otherwise
    `--num-gpus` processes start on this machine, joined with those of `--num-machines`; where no CUDA device exists
    they run on the CPU. Processes talk through NCCL on GPUs and through Gloo on CPUs.

    Raises:
        ValueError: several machines were asked for, but no process on each; or the job of a process raised it.
        FloatingPointError: a job's training diverged.
        OSError: a job cannot write, or another process writes where it would; or one of the processes was killed.
        DeviceError: a GPU failed.
    """
    with gpu_explained():
        _start(job, args)


def _start(job: Job, args: Namespace) -> None:
    if "LOCAL_RANK" in os.environ and "WORLD_SIZE" in os.environ:
        with _torchrun_group(on_gpu=torch.cuda.is_available() and args.num_gpus > 0):
            job(args)
    elif args.num_machines > 1 and args.num_gpus < 1:
        raise ValueError(
            f"--num-machines {args.num_machines} with --num-gpus {args.num_gpus} asks for no process on each machine; "
            "give --num-gpus 1 (a machine without GPUs then runs one CPU process)"
        )
    else:
        available = torch.cuda.device_count()
        if available and args.num_gpus > available:
            raise ValueError(f"--num-gpus {args.num_gpus}, but this machine has {available}")
        mistakes = multiprocessing.get_context("spawn").SimpleQueue()
        try:
            spawn(_telling, args.num_gpus, args.num_machines, args.machine_rank, args.dist_url, (job, args, mistakes))
        except KeyboardInterrupt:  # which need not have reached them
            for process in multiprocessing.active_children():
                process.terminate()
            raise
        except ProcessException as error:
            if not mistakes.empty():
                raise mistakes.get() from None
            if isinstance(error, ProcessExitedException):
                raise ChildProcessError(
                    f"a process of this training was killed ({error.signal_name or error.exit_code}), possibly "
                    "because memory ran out: use --resume to continue from the last checkpoint"
                ) from None
            said = RuntimeError(str(error).rpartition("Error: ")[2])  # what is left of what its process raised
            if gpu_failure(said):
                raise said from None
            raise


def _telling(job: Job, args: Namespace, mistakes: Any) -> None:
    """Runs a job, and tells the process that started this one of an error that is no fault of the program."""
    try:
        with gpu_explained():
            job(args)
    except _MISTAKES as error:
        kind = next(kind for kind in _MISTAKES if isinstance(error, kind))
        mistakes.put(kind(str(error)))
        raise


@contextmanager
def _torchrun_group(*, on_gpu: bool) -> Iterator[None]:
    local_rank, local_size = int(os.environ["LOCAL_RANK"]), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if on_gpu:
        torch.cuda.set_device(local_rank)
    dist.init_process_group("nccl" if on_gpu else "gloo")
    try:
        comm.create_local_process_group(local_size)
        yield
    finally:
        leave_group()


def leave_group() -> None:
    """Ends this process's part in the group of processes; its threads have ended when this returns.

    detectron2 keeps the group in a cache. Were it still there when Python ends, Gloo's threads would end in the middle
    of their work, which now and then aborts the process ("terminate called without an active exception").
    """
    comm._get_global_gloo_group.cache_clear()  # there is no public way
    dist.destroy_process_group()
