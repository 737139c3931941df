"""Widgets for notebooks, over the actions that the page calls too: JupyterLab, VS Code, Colab.

`ModelPicker`, `SideBySide`, `FeatureExplorer`, `FieldClicker`, `ErrorBrowser` and `TrainingView` show figures that
change in place; what goes wrong is said in the widget. `progress` and `counting` are bars for cells that take a while.
`silence` keeps warnings from inside detectron2 out of the cells; importing this changes no filter.
"""

from explorer.ui.noise import silence
from explorer.ui.widgets.compare import SideBySide
from explorer.ui.widgets.errors import ErrorBrowser
from explorer.ui.widgets.features import FeatureExplorer
from explorer.ui.widgets.fields import FieldClicker
from explorer.ui.widgets.models import ModelPicker
from explorer.ui.widgets.progress import counting, progress
from explorer.ui.widgets.training import TrainingView

__all__ = [
    "ErrorBrowser",
    "FeatureExplorer",
    "FieldClicker",
    "ModelPicker",
    "SideBySide",
    "TrainingView",
    "counting",
    "progress",
    "silence",
]
