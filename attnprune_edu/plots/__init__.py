"""Figures from results. Each function returns a matplotlib figure; ``show`` puts one into a notebook with its description.

Kept and pruned differ by brightness and hatching as well as by colour, so the figures read in grey and for the colour-blind.
"""

from .budgets import plot_budgets
from .channels import plot_attention, plot_importance, plot_weights
from .claims import plot_claims
from .costs import plot_accuracies, plot_costs, plot_factors, plot_layers
from .curves import plot_differences, plot_history, plot_lines, plot_ranges, plot_spread
from .cuts import plot_ratio, plot_threshold, plot_weight_cut
from .gates import plot_gates
from .heads import plot_heads
from .images import plot_filters, plot_images, plot_pictures
from .maps import plot_attention_maps
from .network import plot_network
from .plan import plot_plan
from .search import plot_search_importance
from .style import BLUE, GREY, KEPT, LINES, ORANGE, PRUNED, RUST, SKY, STONE, png, show
from .tables import plot_confusion, plot_sensitivity
from .verification import plot_roc, plot_similarities

__all__ = [
    "BLUE",
    "GREY",
    "KEPT",
    "LINES",
    "ORANGE",
    "PRUNED",
    "RUST",
    "SKY",
    "STONE",
    "plot_accuracies",
    "plot_attention",
    "plot_attention_maps",
    "plot_budgets",
    "plot_claims",
    "plot_confusion",
    "plot_costs",
    "plot_differences",
    "plot_factors",
    "plot_filters",
    "plot_gates",
    "plot_heads",
    "plot_history",
    "plot_images",
    "plot_importance",
    "plot_layers",
    "plot_lines",
    "plot_network",
    "plot_pictures",
    "plot_plan",
    "plot_ranges",
    "plot_ratio",
    "plot_roc",
    "plot_search_importance",
    "plot_sensitivity",
    "plot_similarities",
    "plot_spread",
    "plot_threshold",
    "plot_weight_cut",
    "plot_weights",
    "png",
    "show",
]
