"""Floor 3, training. Front door, and light: torch is imported when one of its names is first used.

settings    PhaseSettings, OptimizerSettings, ScheduleSettings, ComputeSettings: the recipe's sections (no torch)
schedule    multiplier: learning rates as functions of tokens                                          (no torch)
batch_size  BatchSizes: sequences of every step, a ramp by tokens                                      (no torch)
order       Order: which sequence comes next, with a state of a few counters                           (no torch)
controller  Controller (protocol), FixedMixture: who decides the mixture                               (no torch)
job         Job, Factory: all that a phase is told, and its form as a file                             (no torch)
batch       Batch, make_batch, Reader (protocol): packed sequences as tensors
computing   the gradient of a step, summed over micro-batches and ranks
objective   Objective (protocol), Losses, NextToken
optimizers  AdamW, and Muon (muon) on hidden matrices; groups, state by name
loop        train_phase, PhaseResult; Interrupted (interruption)
state       all that a running phase is, and how it comes back from a checkpoint
checkpoint  what is whole or not there; writer: written in a thread while training goes on
finished    load_model, load_for_inference: the model of a finished phase or of a Hugging Face folder
decisions   what was decided while training, followed by whoever comes by again                        (no torch)
loss_scale  the factor that keeps small gradients in fp16 from vanishing                               (no torch)
guard       steps that are out of the ordinary, spikes that stay                                       (no torch)
suspects    the documents that a spike owes its loss to
watchdog    a step that hangs ends the process
nodes       under torchrun, a node that has failed twice is left out
control     settings that change while training                                                       (no torch)
faults      faults on purpose, for trials                                                             (no torch)
speed       what a step took: tokens a second, MFU, memory
trackers    metrics to TensorBoard, Weights & Biases, SwanLab
changes     what may change on resume                                                                 (no torch)
parallel    World, GradientBuffer: the processes that train together
partition   which process keeps the states of which parameter (ZeRO stages 1 and 2)
gathering   parameters that come when their layer is at work, and go (stage 3)
folder      DETERMINISTIC_FILES, MEASURED_FILES: what a finished phase's folder holds                 (no torch)
device      the one file that knows cpu, cuda and mps
compiling   what a torn file in the cache of compiled code costs: a warning
launch      run_job, launch_job: the same phase in several processes
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilth.base.lazy import lazy
from tilth.training.controller import Controller, FixedMixture
from tilth.training.folder import DETERMINISTIC_FILES, MEASURED_FILES
from tilth.training.job import Factory, Job
from tilth.training.order import Order
from tilth.training.schedule import multiplier
from tilth.training.settings import ComputeSettings, OptimizerSettings, PhaseSettings, ScheduleSettings

if TYPE_CHECKING:
    from tilth.training.batch import Batch, PackedSequence, Reader, make_batch
    from tilth.training.finished import load_for_inference, load_model
    from tilth.training.interruption import Interrupted
    from tilth.training.launch import launch_job, run_job
    from tilth.training.loop import PhaseResult, train_phase
    from tilth.training.objective import Losses, NextToken, Objective

__getattr__ = lazy(
    __name__,
    {
        "batch": "Batch PackedSequence Reader make_batch",
        "finished": "load_for_inference load_model",
        "interruption": "Interrupted",
        "launch": "launch_job run_job",
        "loop": "PhaseResult train_phase",
        "objective": "Losses NextToken Objective",
    },
)

__all__ = [
    "DETERMINISTIC_FILES",
    "MEASURED_FILES",
    "Batch",
    "ComputeSettings",
    "Controller",
    "Factory",
    "FixedMixture",
    "Interrupted",
    "Job",
    "Losses",
    "NextToken",
    "Objective",
    "OptimizerSettings",
    "Order",
    "PackedSequence",
    "PhaseResult",
    "PhaseSettings",
    "Reader",
    "ScheduleSettings",
    "launch_job",
    "load_for_inference",
    "load_model",
    "make_batch",
    "multiplier",
    "run_job",
    "train_phase",
]
