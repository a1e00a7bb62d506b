"""mmengine's backends for W&B and MLflow, with what today's versions of the two need; chosen by the same names."""
from __future__ import annotations

import os
from typing import Any

from mmengine.visualization import vis_backend

from mmxf.registry import VISBACKENDS


@VISBACKENDS.register_module()
class WandbVisBackend(vis_backend.WandbVisBackend):
    """Draws over the iteration. mmengine drops it, so that W&B would count the calls, training's and validation's together.

    Takes what mmengine's takes.
    """

    def _init_env(self) -> None:
        super()._init_env()
        self._wandb.define_metric('*', step_metric='step')

    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        self.add_scalars({name: value}, step)

    def add_scalars(self, scalar_dict: dict, step: int = 0, file_path: str | None = None, **kwargs: Any) -> None:
        super().add_scalars({**scalar_dict, 'step': step}, step, file_path, **kwargs)


@VISBACKENDS.register_module()
class MLflowVisBackend(vis_backend.MLflowVisBackend):
    """Keeps runs in a database, ``mlflow.db``, where MLflow itself keeps them: mmengine's folder of files is refused by MLflow 3.

    Args:
        save_dir: folder of the run.
        tracking_uri: where runs are kept; None: ``MLFLOW_TRACKING_URI`` of the environment, or ``sqlite:///mlflow.db`` in
            the present folder.
        kwargs: what else mmengine's takes.
    """

    def __init__(self, save_dir: str, tracking_uri: str | None = None, **kwargs: Any) -> None:
        super().__init__(save_dir, tracking_uri=tracking_uri or os.environ.get('MLFLOW_TRACKING_URI') or 'sqlite:///mlflow.db',
                         **kwargs)
