"""Learning rate and weight decay of each parameter by its kind and its name, both at once."""
from __future__ import annotations

import difflib
import logging
import re

from mmengine.logging import print_log
from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

from mmxf.registry import OPTIM_WRAPPER_CONSTRUCTORS

_NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm, nn.LocalResponseNorm) + tuple(
    getattr(nn, name) for name in ('RMSNorm',) if hasattr(nn, name))
# Norms that do not inherit from torch's: LayerNorm2d, FrozenBatchNorm2d, RMSNorm, LN2d...
_NORM_NAME = re.compile(r'(Norm|LN|BN|GN)(\dd)?$')
_OPTIONS = ('norm_decay_mult', 'bias_decay_mult', 'bias_lr_mult', 'embedding_decay_mult', 'custom_keys')


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class TypedDecayOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """mmengine's constructor with rules that add up, and as few parameter groups as there are different settings.

    In mmengine a match in ``custom_keys`` switches all other rules off: ``{'backbone': dict(lr_mult=0.1)}`` gives the
    backbone's norms and biases their weight decay back. Here a key decides only what it names: a learning rate by
    ``backbone`` and a decay by being a norm hold at once. If several keys match, the longest that names a property
    decides it. The order of precedence for the decay is: custom key, then the kind (bias, norm, embedding).

    ``paramwise_cfg``:
        - ``custom_keys`` (dict): part of a parameter's full name -> dict(lr_mult=, decay_mult=).
        - ``norm_decay_mult`` (float): parameters of normalisation layers, weight and bias, also of classes that are
          called ...Norm, ...Norm2d without inheriting from torch's.
        - ``bias_decay_mult`` (float): parameters with 'bias' in their own name, tables of relative position bias too.
        - ``embedding_decay_mult`` (float): ``nn.Embedding``.
        - ``bias_lr_mult`` (float): parameters with 'bias' in their own name, norms excepted.
    """

    def _validate_cfg(self) -> None:
        super()._validate_cfg()
        for key in self.paramwise_cfg:
            if key not in _OPTIONS:
                near = difflib.get_close_matches(key, _OPTIONS, n=1)
                raise ValueError(f'paramwise_cfg has no option {key!r}' + (f', did you mean {near[0]!r}?' if near else
                                                                          f'; there are {", ".join(_OPTIONS)}'))
        for name, rule in self.paramwise_cfg.get('custom_keys', {}).items():
            unknown = set(rule) - {'lr_mult', 'decay_mult'}
            if unknown:
                raise ValueError(f'paramwise_cfg.custom_keys[{name!r}] has {sorted(unknown)}; it may have lr_mult and '
                                 'decay_mult')
        if self.base_lr is None:
            raise ValueError('optim_wrapper.optimizer must set lr')

    def add_params(self, params: list[dict], module: nn.Module, prefix: str = '', is_dcn_module=None) -> None:
        """Fill ``params`` with one group per different (learning rate, weight decay), in order of appearance."""
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        names: dict[tuple[float, float], list[str]] = {}
        seen: set[int] = set()
        for module_name, part in module.named_modules(prefix=prefix):
            for own_name, parameter in part.named_parameters(recurse=False):
                if not parameter.requires_grad or id(parameter) in seen:
                    continue
                seen.add(id(parameter))
                full_name = f'{module_name}.{own_name}' if module_name else own_name
                lr_mult, decay_mult = self.multipliers(full_name, own_name, part)
                key = (self.base_lr * lr_mult, (self.base_wd or 0.) * decay_mult)
                groups.setdefault(key, []).append(parameter)
                names.setdefault(key, []).append(full_name)
        for (lr, decay), members in groups.items():
            group = dict(params=members, lr=lr)
            if self.base_wd is not None:
                group['weight_decay'] = decay
            params.append(group)
            print_log(f'lr {lr:g}, weight decay {decay:g}: {len(members)} tensors, '
                      f'{sum(p.numel() for p in members) / 1e6:.2f} M parameters, such as {names[lr, decay][0]}',
                      logger='current')
        self._report_unmatched([name for members in names.values() for name in members])

    def multipliers(self, full_name: str, own_name: str, module: nn.Module) -> tuple[float, float]:
        """Factors of the base learning rate and the base weight decay for one parameter.

        Args:
            full_name: as in ``model.named_parameters()``.
            own_name: its name in ``module``.
            module: the layer that owns it.
        """
        cfg = self.paramwise_cfg
        keys = sorted((key for key in cfg.get('custom_keys', {}) if key in full_name), key=lambda k: (-len(k), k))
        rules = [cfg['custom_keys'][key] for key in keys]
        is_norm, is_bias = is_normalisation(module), 'bias' in own_name
        lr_mult = next((rule['lr_mult'] for rule in rules if 'lr_mult' in rule), None)
        if lr_mult is None:
            lr_mult = cfg.get('bias_lr_mult', 1.) if is_bias and not is_norm else 1.
        decay_mult = next((rule['decay_mult'] for rule in rules if 'decay_mult' in rule), None)
        kinds = ((is_bias, 'bias_decay_mult'), (is_norm, 'norm_decay_mult'),
                 (isinstance(module, nn.Embedding), 'embedding_decay_mult'))
        if decay_mult is None:
            decay_mult = next((cfg[option] for is_kind, option in kinds if is_kind and option in cfg), 1.)
        return lr_mult, decay_mult

    def _report_unmatched(self, names: list[str]) -> None:
        unmatched = [key for key in self.paramwise_cfg.get('custom_keys', {}) if not any(key in n for n in names)]
        if unmatched:
            print_log(f'paramwise_cfg.custom_keys {unmatched} match no trained parameter of this model',
                      logger='current', level=logging.INFO)


def is_normalisation(module: nn.Module) -> bool:
    """Whether a layer normalises: torch's classes, and others by their name."""
    return isinstance(module, _NORMS) or bool(_NORM_NAME.search(type(module).__name__)) and not isinstance(
        module, (nn.Linear, nn.modules.conv._ConvNd)) and not any(
        isinstance(child, nn.Module) and list(child.parameters()) for child in module.children())
