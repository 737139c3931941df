# The public names, for type checkers and for `__init__.py`, which loads each when it is first used.

# Evaluate, compare, explain
from .api.autopsy import AutopsyReport as AutopsyReport
from .api.autopsy import autopsy as autopsy
from .api.benchmark import BenchmarkReport as BenchmarkReport
from .api.benchmark import benchmark as benchmark
from .api.compare import ComparisonReport as ComparisonReport
from .api.compare import compare as compare
from .api.curves import ConfusionReport as ConfusionReport
from .api.curves import PrecisionRecall as PrecisionRecall
from .api.draw import draw as draw
from .api.evaluate import Evaluation as Evaluation
from .api.evaluate import evaluate as evaluate
from .api.evaluate import load_run as load_run
from .api.export import Exported as Exported
from .api.export import export as export
from .api.features import FeatureInspection as FeatureInspection
from .api.features import inspect_features as inspect_features
from .api.fields import ReceptiveFieldReport as ReceptiveFieldReport
from .api.fields import receptive_fields as receptive_fields
from .api.improve import ImprovementReport as ImprovementReport
from .api.improve import improve as improve
from .api.sizes import ObjectSizes as ObjectSizes
from .api.sizes import object_sizes as object_sizes
from .api.predict import PredictionReport as PredictionReport
from .api.predict import predict as predict
from .api.suspects import LabelErrors as LabelErrors
from .api.train import TrainingReport as TrainingReport
from .api.train import train as train
from .api.truth import Annotations as Annotations
from .api.truth import read_truth as read_truth
from .browser.browse import BrowsedData as BrowsedData
from .browser.browse import browse as browse

# Models and configs
from .backbones.mobilenet import MobileNetV2 as MobileNetV2
from .backbones.vovnet import VoVNet as VoVNet
from .config import load_config as load_config
from .engine.detector import Detector as Detector
from .engine.familiar import unfamiliar as unfamiliar
from .engine.loading import fast as fast
from .engine.loading import load_backbone as load_backbone
from .engine.loading import load_detector as load_detector
from .engine.prediction import Prediction as Prediction

# Data and results
from .data.aerial import make_aerial as make_aerial
from .data.coco import register_coco as register_coco
from .data.convert import convert as convert
from .data.images import read_image as read_image
from .scoring.columns import Run as Run
from .scoring.columns import Truth as Truth
from .types import Detections as Detections
from .types import Metrics as Metrics
from .types import Panoptic as Panoptic
from .types import Timing as Timing

# Scoring, part by part
from .errors.bootstrap import bootstrap as bootstrap
from .errors.calibration import calibration as calibration
from .errors.lrp import best_scores as best_scores
from .figures.calibration import reliability as reliability
from .scoring.matching import match as match
from .scoring.outcomes import FoundRule as FoundRule
from .scoring.protocols import Protocol as Protocol
from .scoring.protocols import protocol_of as protocol_of
from .figures.errors import error_types as error_types
from .figures.errors import objects_scatter as objects_scatter
from .figures.training import training_curves as training_curves

# Features
from .features.cam import detection_cam as detection_cam
from .features.cam import eigen_cam as eigen_cam
from .features.capture import feature_maps as feature_maps
from .features.hooks import FeatureRecorder as FeatureRecorder
from .features.maps import energy as energy
from .features.maps import top_channels as top_channels
from .features.pca import pca_rgb as pca_rgb
from .features.usage import layer_usage as layer_usage
from .figures.features import feature_grid as feature_grid
from .figures.features import linked_maps as linked_maps
from .figures.features import usage_matrix as usage_matrix

# Receptive fields
from .figures.receptive_field import effective_heat as effective_heat
from .receptive_field.effective import effective_fields as effective_fields
from .receptive_field.effective import random_inputs as random_inputs
from .receptive_field.perturbation import perturb as perturb
from .receptive_field.theoretical import theoretical_fields as theoretical_fields

# Costs and structure
from .engine.speed.backbone_stages import stage_costs as stage_costs
from .engine.speed.backbone_stages import stage_seconds as stage_seconds
from .engine.speed.backbone_stages import total_cost as total_cost
from .figures.costs import cost_shares as cost_shares
from .figures.costs import rates as rates
from .figures.osa import osa_block as osa_block
from .report.tables import Grid as Grid
from .report.tables import cost_grid as cost_grid

# Notebook widgets
from .ui.actions.dataset import DataSet as DataSet
from .ui.actions.dataset import data_set as data_set
from .ui.actions.errors import annotated_images as annotated_images
from .ui.actions.errors import examine as examine
from .ui.actions.models import Models as Models
from .ui.noise import silence_warnings as silence_warnings
from .ui.widgets.compare import SideBySide as SideBySide
from .ui.widgets.errors import ErrorBrowser as ErrorBrowser
from .ui.widgets.features import FeatureExplorer as FeatureExplorer
from .ui.widgets.fields import FieldClicker as FieldClicker
from .ui.widgets.models import ModelPicker as ModelPicker
from .ui.widgets.progress import progress_bar as progress_bar
from .ui.widgets.training import TrainingView as TrainingView

__version__: str
