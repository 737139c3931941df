"""Starts training processes: alone, spawned on this machine, or as `torchrun` placed them."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from detectron2.engine import launch as spawn
from detectron2.utils import comm

Job = Callable[[Namespace], object]


def start(job: Job, args: Namespace) -> None:
    """Runs `job(args)` in every process that `args` or torchrun's environment asks for.

    Under torchrun the environment decides and `--num-gpus` only chooses between CPU (0) and GPU. Otherwise
    `--num-gpus` processes start on this machine, joined with those of `--num-machines`; where no CUDA device exists
    they run on the CPU. Processes talk through NCCL on GPUs and through Gloo on CPUs.

    Raises:
        ValueError: several machines were asked for, but no process on each.
    """
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
        spawn(job, args.num_gpus, args.num_machines, args.machine_rank, args.dist_url, (args,))


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
