"""The command behind `train_net.py` and `explorer train`: from arguments to a finished run."""

from __future__ import annotations

import io
import logging
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, redirect_stdout
from pathlib import Path

import torch
from detectron2.config import CfgNode, LazyConfig, instantiate
from detectron2.data import MetadataCatalog
from detectron2.engine import default_argument_parser
from detectron2.evaluation import verify_results
from detectron2.modeling import build_model
from detectron2.utils import comm
from detectron2.utils.collect_env import collect_env_info
from detectron2.utils.env import seed_all_rng
from detectron2.utils.logger import setup_logger
from omegaconf import DictConfig
from rich.console import Console

import explorer.backbones
import explorer.heads  # noqa: F401 - registers the heads that they name
from explorer.config import LAZY_KEYS, config_path, lazy_overrides, load_config, load_lazy_config
from explorer.data.coco import class_names, has_instances, register_coco
from explorer.data.fit import check_fit, fit_classes
from explorer.engine.config_facts import Config, config_facts
from explorer.engine.devices import pick_device
from explorer.engine.scales import follow_photographs, image_sizes
from explorer.engine.training import launch
from explorer.engine.training.checkpointing import set_aside
from explorer.engine.training.hooks import OnStep, Results
from explorer.engine.training.recipe import as_names, evaluate_all, lazy_recipe, yaml_recipe
from explorer.engine.training.trainer import Trainer
from explorer.engine.training.weights import evaluate_with, start_from, started_with
from explorer.scoring.classes import shared_classes
from explorer.scoring.runs import read_truth
from explorer.text import logger_of
from explorer.types import RANDOM
from explorer.writing import alone_in, as_json, replacing, write_json
from explorer.zoo.resolve import find_weights, named_weights, resolve
from explorer.zoo.trained import CONFIG, find_trained, last_checkpoint

logger = logger_of(__name__)


def parse_arguments(arguments: Sequence[str] | None = None) -> Namespace:
    """Reads detectron2's training arguments, from the command line where `arguments` is None."""
    return default_argument_parser().parse_args(arguments)  # type: ignore[no-any-return]


def train(
    config: str | Path, overrides: Sequence[str] = (), *, resume: bool = False, on_step: OnStep | None = None
) -> Results:
    """Trains in this process: what a notebook calls. What is logged goes to `log.txt` in the output folder alone.

    Args:
        config: a config file, or a shipped config's name.
        overrides: `KEY VALUE` pairs, such as `["OUTPUT_DIR", "output/mine"]`; `key=value` for a LazyConfig.
        resume: go on from the last checkpoint in the output folder.
        on_step: called after every step with what is done, what there is to do and the latest scalars.

    Returns:
        The figures of the last evaluation.

    Raises:
        ValueError: something in the config or the data is wrong; the message says what to do.
        FloatingPointError: training diverged; the message says when, at which learning rate, and what to try.
        OSError: the output folder cannot be written to, or another process trains there.
    """
    args = parse_arguments([])
    args.config_file, args.opts, args.resume, args.on_step = str(config), list(overrides), resume, on_step
    with redirect_stdout(_Nowhere()):  # where detectron2's log handlers would write
        return job(args)


class _Nowhere(io.TextIOBase):
    """A stream that keeps nothing; log handlers go on holding it."""

    def write(self, text: str) -> int:
        return len(text)


def main(args: Namespace) -> None:
    """Trains or evaluates in as many processes as `args` asks for; see `launch.start`."""
    launch.start(job, args)


def job(args: Namespace) -> Results:
    """Trains or evaluates, in one of the processes of a run.

    Args:
        args: detectron2's arguments. Where they have `json`, the results go to that file as well; with `-` they are
            all that goes to standard output.

    Returns:
        The figures of the last evaluation; empty on all processes but the first.

    Raises:
        OSError: the output folder cannot be written to, or another process trains there.
        ValueError: something in the arguments, the config or the data is wrong; the message says what to do.
    """
    destination: str | None = getattr(args, "json", None)
    standard_output = redirect_stdout(sys.stderr) if destination == "-" else nullcontext()
    with standard_output, _logs_without_traces(), ExitStack() as until_its_end:
        cfg = read_config(args)
        if comm.is_main_process() and not args.eval_only:
            until_its_end.enter_context(alone_in(output_dir(cfg)))
        prepare(cfg, args)
        results = (
            _evaluate(cfg, resume=args.resume)
            if args.eval_only
            else _train(cfg, resume=args.resume, on_step=getattr(args, "on_step", None))
        )
    if not comm.is_main_process():
        return {}
    report = {"config": args.config_file, "output_dir": str(output_dir(cfg)), "results": results}
    if args.eval_only:
        weights = _evaluated_weights(cfg, resume=args.resume)
        report |= {"weights": str(weights)} if weights else {"weights": None, "note": RANDOM}
    if destination == "-":
        sys.stdout.write(as_json(report, indent=2))
    elif destination:
        write_json(report, Path(destination), indent=2)
    if isinstance(cfg, CfgNode):
        verify_results(cfg, results)
    return results


@contextmanager
def _logs_without_traces() -> Iterator[None]:
    """Around what logs to a disk that may be full, of which whatever cannot be left out says so in one line."""
    before = logging.raiseExceptions
    logging.raiseExceptions = False
    try:
        yield
    finally:
        logging.raiseExceptions = before


def output_dir(cfg: Config) -> Path:
    """Returns the folder that a run of this config writes to."""
    return Path(cfg.OUTPUT_DIR if isinstance(cfg, CfgNode) else cfg.train.output_dir)


def read_config(args: Namespace) -> Config:
    """Reads the config, and finds weights, device and data sets; writes nothing.

    Raises:
        ValueError: the config, the weights, a data set or the number of classes is wrong.
    """
    if not args.config_file:
        raise ValueError("give --config-file: a path, or the name of a shipped config such as faster_rcnn_V_39_FPN_3x")
    path = config_path(args.config_file)
    args.config_file = str(path)
    return _setup_lazy(path, args) if path.suffix == ".py" else _setup_yaml(path, args)


def prepare(cfg: Config, args: Namespace) -> None:
    """Prepares logs, output folder and seeds."""
    with _one_run(output_dir(cfg), args):
        set_up(cfg, args)
    setup_logger(str(output_dir(cfg)), distributed_rank=comm.get_rank(), name="explorer")
    if args.num_gpus and not torch.cuda.is_available():
        logger.warning("No CUDA device was found: this runs on the CPU")


def set_up(cfg: Config, args: Namespace) -> None:
    """Does what detectron2's `default_setup` does; wherever it is stopped, `config.yaml` is whole or not there."""
    folder, rank, lazy = output_dir(cfg), comm.get_rank(), not isinstance(cfg, CfgNode)
    setup_logger(str(folder), distributed_rank=rank, name="fvcore")
    log = setup_logger(str(folder), distributed_rank=rank)
    log.info("Process %d of %d", rank, comm.get_world_size())
    log.info("Environment:\n%s", collect_env_info())
    log.info("Arguments: %s", args)
    if args.config_file:
        log.info("Contents of %s:\n%s", args.config_file, Path(args.config_file).read_text(encoding="utf-8"))
    if comm.is_main_process():
        with replacing(folder / CONFIG) as scratch:
            if lazy:
                LazyConfig.save(cfg, str(scratch))
            else:
                log.info("The whole config:\n%s", cfg.dump())
                scratch.write_text(cfg.dump(), encoding="utf-8")
        log.info("The whole config is in %s", folder / CONFIG)
    seed = cfg.train.get("seed", -1) if lazy else cfg.SEED
    seed_all_rng(None if seed < 0 else seed + rank)
    if not args.eval_only:  # there it would cost more than it gains
        torch.backends.cudnn.benchmark = cfg.train.get("cudnn_benchmark", False) if lazy else cfg.CUDNN_BENCHMARK


@contextmanager
def _one_run(folder: Path, args: Namespace) -> Iterator[None]:
    """Around what writes a config into the folder: it stays that of the run whose checkpoints lie there."""
    config, run = folder / CONFIG, find_trained(folder)
    kept = config.read_bytes() if args.eval_only and run and run.weights and config.is_file() else None
    if comm.is_main_process() and not args.eval_only and not (args.resume and last_checkpoint(folder)):
        set_aside(folder)
    yield
    if comm.is_main_process() and kept is not None:
        with replacing(config) as scratch:
            scratch.write_bytes(kept)


def _setup_yaml(path: Path, args: Namespace) -> CfgNode:
    cfg = load_config(path, args.opts)
    started = started_with(output_dir(cfg), LAZY_KEYS) if args.resume else None
    weights: Path | str | None
    needed: Sequence[str] = ()
    if started:
        weights, needed = started[0], [word for key, value in started[1].items() for word in (key, str(value))]
    elif args.eval_only:  # of the config that a training saved, what it trained
        found = resolve(path, overrides=args.opts)
        weights, cfg = found.weights, found.cfg
    else:
        weights, needed = find_weights(named_weights(cfg))
    if needed:
        cfg = load_config(path, [*needed, *args.opts])
    cfg.MODEL.WEIGHTS = str(weights or "")
    cfg.MODEL.DEVICE = _device(cfg.MODEL.DEVICE, args.num_gpus)
    cfg.DATASETS.TEST = tuple(register_coco(name) for name in cfg.DATASETS.TEST)
    if not args.eval_only:
        cfg.DATASETS.TRAIN = tuple(register_coco(name) for name in cfg.DATASETS.TRAIN)
    _fit(cfg, args.opts, train=not args.eval_only)
    if not args.eval_only and not {"INPUT.MIN_SIZE_TEST", "INPUT.MAX_SIZE_TEST"} & set(args.opts[::2]):
        follow_photographs(cfg, image_sizes(cfg.DATASETS.TEST))
    cfg.freeze()
    return cfg


def _fit(cfg: CfgNode, overrides: Sequence[str], *, train: bool) -> None:
    """Gives the model the classes of its data, unless it is evaluated and has its own, or the user said how many.

    Names of a trained model's classes stay those of its training data, in the order of its outputs.
    """
    key = "DATASETS.TRAIN" if train else "DATASETS.TEST"
    names = cfg.DATASETS.TRAIN if train else cfg.DATASETS.TEST
    if not names:
        raise ValueError(f"{key} is empty; name a data set, as in {key} '(\"PATH:SPLIT\",)'")
    first = names[0]
    if train or not cfg.EXPLORER.CLASS_NAMES:
        if not any(key.endswith("NUM_CLASSES") for key in overrides[::2]):
            fit_classes(cfg, first)
        check_fit(cfg, names if train else [first], train=train)
        cfg.EXPLORER.CLASS_NAMES = list(class_names(first))
        if cfg.MODEL.META_ARCHITECTURE == "PanopticFPN":
            cfg.EXPLORER.STUFF_CLASS_NAMES = list(MetadataCatalog.get(first).stuff_classes)
    for name in cfg.DATASETS.TEST:  # scored by name, whatever else it has
        shared = shared_classes(cfg.EXPLORER.CLASS_NAMES, class_names(name))
        if train and has_instances(name):  # before the training, not at its first validation
            read_truth(name).of_classes(shared.names).check_has_objects(name)


def _setup_lazy(path: Path, args: Namespace) -> DictConfig:
    cfg = load_lazy_config(path, args.opts)
    places = [place for key in LAZY_KEYS.values() for place in key]
    started = started_with(output_dir(cfg), places) if args.resume else None
    if started:
        weights: Path | str | None = started[0]
        needed: Sequence[str] = [f"{place}={value}" for place, value in started[1].items()]
    else:
        weights, pairs = find_weights(named_weights(cfg))
        needed = lazy_overrides(cfg, pairs)
    cfg = load_lazy_config(path, [*needed, *args.opts])
    cfg.train.init_checkpoint = str(weights or "")
    cfg.train.device = _device(cfg.train.device, args.num_gpus)
    for part in ("test",) if args.eval_only else ("train", "test"):
        dataset = cfg.dataloader[part].dataset
        dataset.names = [register_coco(name) for name in as_names(dataset.names)]
        _check_lazy_classes(cfg, dataset.names)
    if not args.eval_only:
        metadata = MetadataCatalog.get(cfg.dataloader.train.dataset.names[0])
        stuff = list(metadata.get("stuff_classes", ())) if config_facts(cfg).stuff_classes else []
        cfg.explorer = {"class_names": list(metadata.thing_classes), "stuff_class_names": stuff}
    return cfg


def _check_lazy_classes(cfg: DictConfig, names: Sequence[str]) -> None:
    """A LazyConfig says the number of classes in places of its own choosing, so it is checked, not fitted."""
    classes = config_facts(cfg).classes
    for name in names:
        if len(class_names(name)) != classes:
            raise ValueError(
                f"{name} has {len(class_names(name))} classes, the model is for {classes}; override the config's "
                "num_classes (for FCOS model.num_classes and model.head.num_classes)"
            )


def _device(wanted: str, gpus: int) -> str:
    """Returns the device to use: the CPU where `--num-gpus 0` asks for it, where no GPU is, or where its one fails.

    Raises:
        ValueError: several GPUs are asked for and cannot compute.
    """
    if not wanted.startswith("cuda"):
        return wanted
    if gpus == 0 or not torch.cuda.is_available():
        return "cpu"
    return pick_device("auto" if gpus == 1 and wanted == "cuda" else wanted)


def _train(cfg: Config, *, resume: bool, on_step: OnStep | None = None) -> Results:
    recipe = yaml_recipe(cfg) if isinstance(cfg, CfgNode) else lazy_recipe(cfg)
    console = Console() if comm.is_main_process() and sys.stdout.isatty() else None
    trainer = Trainer(recipe, console, on_step)
    last = trainer.checkpoints.last if resume else None
    if any(other != last for other in comm.all_gather(last)):
        raise ValueError(
            f"the processes of this run see different checkpoints in {recipe.output_dir}; it must be shared"
        )
    if last:
        trainer.resume()
    else:
        start_from(recipe.model, recipe.weights)
    return trainer.run()


def _evaluate(cfg: Config, *, resume: bool) -> Results:
    lazy = isinstance(cfg, DictConfig)
    model = instantiate(cfg.model).to(cfg.train.device) if lazy else build_model(cfg)
    evaluate_with(model, _evaluated_weights(cfg, resume=resume))
    return evaluate_all(cfg, model)


def _evaluated_weights(cfg: Config, *, resume: bool) -> Path | None:
    """The weights that the config names, or with `resume` those of the run's last checkpoint."""
    named = named_weights(cfg)
    last = last_checkpoint(output_dir(cfg)) if resume else None
    return last or (Path(named) if named else None)
