"""The public names: each is imported when somebody first asks for it (``lazy_loader`` reads this file)."""

from . import checks as checks, plots as plots, widgets as widgets
from .data.classes import only_classes as only_classes
from .data.digits import load_digits as load_digits
from .data.faces import (
    FaceData as FaceData,
    load_faces as load_faces,
)
from .data.images import (
    ImageData as ImageData,
    Images as Images,
    load_data as load_data,
)
from .data.names import load_names as load_names
from .data.seeds import generator_for as generator_for
from .data.tokens import TokenData as TokenData
from .data.xrays import load_xrays as load_xrays
from .experiments.capstone import (
    Capstone as Capstone,
    load_capstone as load_capstone,
)
from .experiments.dense import dense_network as dense_network
from .experiments.guarantee import prune_with_guarantee as prune_with_guarantee
from .experiments.results import load_results as load_results
from .experiments.search import search_ratios as search_ratios
from .experiments.sensitivity import sensitivity as sensitivity
from .experiments.sweep import sweep as sweep
from .networks.attention_layer import (
    Attention as Attention,
    attention_probabilities as attention_probabilities,
)
from .networks.inference import (
    accuracy as accuracy,
    predict as predict,
)
from .networks.models import (
    VGG as VGG,
    ArticleNet as ArticleNet,
    ResNet20 as ResNet20,
)
from .networks.sequence import (
    NameGRU as NameGRU,
    NameTransformer as NameTransformer,
)
from .networks.small_cnns import (
    DigitCNN as DigitCNN,
    FaceNet as FaceNet,
)
from .networks.tensorboard import to_tensorboard as to_tensorboard
from .networks.training import (
    Distillation as Distillation,
    Rewind as Rewind,
    fine_tune as fine_tune,
    train as train,
)
from .plots import show as show
from .pruning.attention import (
    attention_scores as attention_scores,
    attention_weights as attention_weights,
    normalize as normalize,
)
from .pruning.blocks import (
    removable_blocks as removable_blocks,
    remove_blocks as remove_blocks,
)
from .pruning.budget import (
    allocate as allocate,
    loss_curves as loss_curves,
)
from .pruning.gates import (
    RunningGates as RunningGates,
    prune_adaptively as prune_adaptively,
)
from .pruning.groups import (
    couple as couple,
    coupled_layers as coupled_layers,
    unprunable as unprunable,
)
from .pruning.guest import AttentionImportance as AttentionImportance
from .pruning.importance import importance as importance
from .pruning.learned_gates import (
    L1Gates as L1Gates,
    SqueezeExciteGates as SqueezeExciteGates,
)
from .pruning.masks import (
    mask as mask,
    mask_ as mask_,
    mask_weights as mask_weights,
    prune_network as prune_network,
    sparsity as sparsity,
)
from .pruning.removal import remove as remove
from .pruning.repair import repair as repair
from .pruning.schedules import (
    AttentionPruner as AttentionPruner,
    prune_in_stages as prune_in_stages,
    ratio_schedule as ratio_schedule,
)
from .pruning.single_weights import (
    keep_largest as keep_largest,
    sparse_bytes as sparse_bytes,
)
from .pruning.thresholds import (
    keep_by_ratio as keep_by_ratio,
    threshold_as_printed as threshold_as_printed,
    threshold_at as threshold_at,
    threshold_by_budget as threshold_by_budget,
    threshold_by_quantile as threshold_by_quantile,
    threshold_by_ratio as threshold_by_ratio,
    threshold_top_k_mean as threshold_top_k_mean,
)
from .quizzes import quiz as quiz
from .report.attention_maps import attention_maps as attention_maps
from .report.checkpoints import (
    load_model as load_model,
    save_model as save_model,
)
from .report.claims import judge_claim as judge_claim
from .report.evaluation import (
    compare as compare,
    confusion as confusion,
    count_macs as count_macs,
    count_params as count_params,
    evaluate as evaluate,
    latency_ms as latency_ms,
)
from .report.onnx_export import (
    OnnxNetwork as OnnxNetwork,
    export_onnx as export_onnx,
)
from .report.quantization import (
    compare_on_device as compare_on_device,
    quantize_onnx as quantize_onnx,
)
from .report.uncertainty import (
    mean_interval as mean_interval,
    paired_difference as paired_difference,
    wilson as wilson,
)
from .report.verification import (
    accept_threshold as accept_threshold,
    auc as auc,
    auc_interval as auc_interval,
    compare_pairs as compare_pairs,
    equal_error_rate as equal_error_rate,
    error_rates as error_rates,
    roc_curve as roc_curve,
)
