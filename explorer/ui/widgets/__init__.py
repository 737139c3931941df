"""Widgets for notebooks, over the actions that the page calls too: JupyterLab, VS Code, Colab.

`ModelPicker`, `SideBySide`, `FeatureExplorer`, `FieldClicker`, `ErrorBrowser` and `TrainingView` show figures that
change in place; errors are shown in the widget. `progress_bar` is for cells that take a while. All are public names of
`explorer`.
"""

from explorer.ui.widgets.compare import SideBySide
from explorer.ui.widgets.errors import ErrorBrowser
from explorer.ui.widgets.features import FeatureExplorer
from explorer.ui.widgets.fields import FieldClicker
from explorer.ui.widgets.models import ModelPicker
from explorer.ui.widgets.progress import progress_bar
from explorer.ui.widgets.training import TrainingView

__all__ = [
    "ErrorBrowser",
    "FeatureExplorer",
    "FieldClicker",
    "ModelPicker",
    "SideBySide",
    "TrainingView",
    "progress_bar",
]
