"""What a classifier's image carries: its label, what was mixed into it, and what was predicted."""
from mmengine.structures import BaseDataElement
from torch import Tensor


class ClassificationSample(BaseDataElement):
    """Data sample of one image.

    `gt_label` () int64, the class; `pred_scores` (K,) float, probabilities; `pred_label` () int64.
    """

    @property
    def gt_label(self) -> Tensor:
        return self._gt_label

    @gt_label.setter
    def gt_label(self, value: Tensor) -> None:
        self.set_field(value, '_gt_label', dtype=Tensor)

    @property
    def pred_scores(self) -> Tensor:
        return self._pred_scores

    @pred_scores.setter
    def pred_scores(self, value: Tensor) -> None:
        self.set_field(value, '_pred_scores', dtype=Tensor)

    @property
    def pred_label(self) -> Tensor:
        return self._pred_label

    @pred_label.setter
    def pred_label(self, value: Tensor) -> None:
        self.set_field(value, '_pred_label', dtype=Tensor)
