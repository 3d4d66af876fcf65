"""Training steps in torch, with the optimisers of the configs. Needs torch."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from ml_collections import ConfigDict
from torch import nn


def make_optimizer(network: nn.Module, config: ConfigDict, rate: float) -> torch.optim.Optimizer:
    """Returns the optimiser that `config` describes, at the constant learning rate `rate`.

    The rate of localisation networks has its multiplier, and biases have no weight decay.
    """
    groups: dict[tuple[bool, bool], list] = {}
    for name, parameter in network.named_parameters():
        key = "localisation" in name.split("."), parameter.ndim > 1
        groups.setdefault(key, []).append(parameter)
    options = [
        {
            "params": parameters,
            "lr": rate * (config.localisation_multiplier if is_localisation else 1),
            "weight_decay": config.weight_decay if decays else 0.0,
        }
        for (is_localisation, decays), parameters in groups.items()
    ]
    if config.name == "adam":
        return torch.optim.AdamW(options)
    return torch.optim.SGD(options, momentum=config.momentum)


def make_step(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: torch.Tensor,
    labels: torch.Tensor,
    *,
    compiled: bool = False,
) -> Callable[[], torch.Tensor]:
    """Returns a function that takes a training step and returns the loss.

    Args:
        network: the network to train.
        optimizer: the optimiser of its parameters.
        images: [B, C, H, W], the batch of every step.
        labels: [B] or [B, 5].
        compiled: whether to compile the network.
    """
    forward = torch.compile(network, dynamic=False) if compiled else network

    def step():
        optimizer.zero_grad()
        logits = forward(images)
        classes = logits.shape[-1]
        losses = F.cross_entropy(logits.reshape(-1, classes), labels.flatten(), reduction="sum")
        loss = losses / len(images)
        loss.backward()
        optimizer.step()
        return loss.detach()

    network.train()
    return step
