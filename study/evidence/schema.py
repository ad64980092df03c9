"""The typed schema of every Parquet table, in one place. Columns are added here first."""

import pyarrow as pa

# Each column stands beside its meaning.
# fmt: off
STUDY = pa.schema([
    ("study", pa.string()), ("title", pa.string()), ("identity", pa.string()),
    ("profile", pa.string()), ("profile_changes", pa.string()),       # JSON {dotted key: value}
    ("spec", pa.string()),                                            # JSON of the resolved study file, profile applied
    ("dataset", pa.string()), ("root", pa.string()), ("synthetic", pa.bool_()),
    ("cautions", pa.list_(pa.string())),                              # of pretrained weights: licence, evaluation data that they have seen
    ("kind", pa.string()),                                            # multilabel | classes | grades
    ("labels", pa.list_(pa.string())), ("num_views", pa.int8()),
    ("data_fingerprint", pa.string()), ("split_hash", pa.string()),
    ("split_counts", pa.string()),                                    # JSON {split: {"patients": n, "samples": n, label: n}}
    ("generated", pa.string()),                                       # JSON [{"generator", "share", "epochs", "counts": {label: n}, ...}]
    ("skipped", pa.string()),                                         # JSON {reason: [sample, ...]}
    ("objective", pa.string()), ("num_trials", pa.int32()),
    ("search_space", pa.string()),                                    # JSON {parameter: {"type", "low", "high", "log", "choices"}}
    ("ablations", pa.string()),                                       # JSON {table: [variant, ...]}
    ("extensions", pa.string()),                                      # JSON [{"when": time, "changes": [line, ...]}, ...]
])

TRIAL = pa.schema([
    ("study", pa.string()), ("trial", pa.string()),                   # unique key, also the folder's name: search-00003
    ("role", pa.string()),                                            # search | ablation | baseline
    ("number", pa.int32()),                                           # Optuna's number; null outside the search
    ("table", pa.string()), ("variant", pa.string()),                 # of an ablation, else empty
    ("seed", pa.int32()), ("fold", pa.int32()),
    ("state", pa.string()),                                           # complete | pruned | failed
    ("outcome", pa.string()),                                         # empty, or: error | non_finite_loss | out_of_memory | time_limit
    ("message", pa.string()),
    ("params", pa.string()),                                          # JSON {parameter: value}
    ("spec", pa.string()),                                            # JSON of the TrialSpec
    ("objective", pa.string()), ("value", pa.float64()),              # validation value at the best epoch
    ("head", pa.string()), ("setting", pa.string()),                  # the head whose decisions stand for the trial; its setting
    ("best_epoch", pa.int32()), ("num_epochs", pa.int32()),
    ("objectives", pa.string()),                                      # JSON {name: value}, the first one being the objective
    ("num_parameters", pa.int64()), ("multiply_adds", pa.int64()),    # of one sample, at the trial's image size
    ("seconds_training", pa.float64()), ("seconds_total", pa.float64()),
    ("device", pa.string()), ("host", pa.string()),
    ("device_kind", pa.string()),                                     # cpu | cuda
    ("num_devices", pa.float64()),                                    # CPU cores, or GPUs: parts of one where trials share it
    ("started", pa.timestamp("ms", tz="UTC")), ("ended", pa.timestamp("ms", tz="UTC")),
    ("provenance", pa.string()),                                      # JSON: commit, difference, lock, versions, command
    ("data_fingerprint", pa.string()), ("split_hash", pa.string()),
    ("synthetic", pa.bool_()),
])

EPOCHS = pa.schema([
    ("trial", pa.string()), ("epoch", pa.int32()),                    # 1-based
    ("train_loss", pa.float64()), ("val_loss", pa.float64()),
    ("value", pa.float64()),                                          # the objective on validation
    ("lr", pa.float64()), ("seconds", pa.float64()), ("pairs_per_second", pa.float64()),
    ("synthetic", pa.bool_()),
])

PREDICTIONS = pa.schema([
    ("trial", pa.string()), ("head", pa.string()),                    # network | prior | knn | ...
    ("setting", pa.string()),                                         # of a post-hoc head, chosen on validation; else empty
    ("split", pa.string()),                                           # val | test | new
    ("sample", pa.string()), ("patient", pa.string()),
    ("target", pa.list_(pa.int8())),                                  # one number a label; null where unknown
    ("score", pa.list_(pa.float32())),                                # probability a label, 0 to 1
    ("synthetic", pa.bool_()),
])

EMBEDDINGS = pa.schema([
    ("trial", pa.string()), ("split", pa.string()),                   # train | val | test
    ("sample", pa.string()), ("patient", pa.string()),
    ("target", pa.list_(pa.int8())),
    ("embedding", pa.list_(pa.float32())),
    ("synthetic", pa.bool_()),
])

SCORES = pa.schema([
    ("trial", pa.string()), ("head", pa.string()), ("setting", pa.string()),  # setting: k=5, cosine
    ("chosen", pa.bool_()),                                           # false: a point of a head's curve; true: the head's reported setting
    ("split", pa.string()),
    ("decision", pa.string()),                                        # half (threshold .5) | tuned (on validation) | argmax | none (ranks)
    ("metric", pa.string()), ("label", pa.string()),                  # label empty for the aggregate
    ("value", pa.float64()),
    ("synthetic", pa.bool_()),
])

NEIGHBOURS = pa.schema([
    ("trial", pa.string()), ("metric", pa.string()),                  # euclidean | cosine
    ("split", pa.string()), ("sample", pa.string()),
    ("neighbour", pa.list_(pa.string())),                             # training samples, nearest first, at most 50
    ("distance", pa.list_(pa.float32())),
    ("synthetic", pa.bool_()),
])

HEATMAP_SAMPLES = pa.schema([
    ("trial", pa.string()), ("sample", pa.string()), ("patient", pa.string()),
    ("chosen", pa.string()),                                          # asked | random
    ("label", pa.string()),                                           # the one that is shown where only one can be
    ("target", pa.list_(pa.int8())), ("score", pa.list_(pa.float32())),
    ("decided", pa.list_(pa.bool_())),                                # what the trial's head says, one a label
    ("images", pa.list_(pa.binary())),                                # JPEG, as the network saw them; one a view
    ("synthetic", pa.bool_()),
])

HEATMAP_MAPS = pa.schema([
    ("trial", pa.string()), ("sample", pa.string()), ("view", pa.int8()),  # 0 the left eye or only image, 1 the right eye
    ("method", pa.string()),                                          # grad_cam | attention
    ("name", pa.string()),                                            # of the label, or of the attention block
    ("step", pa.string()),                                            # empty: trained; else the last part that was randomised
    ("height", pa.int16()), ("width", pa.int16()),
    ("values", pa.list_(pa.float32())),                               # row by row; one scale for both eyes, not normalised
    ("synthetic", pa.bool_()),
])

HEATMAP_CHECKS = pa.schema([
    ("trial", pa.string()), ("place", pa.int16()), ("step", pa.string()),  # in the order of the randomisation, from the head down
    ("rank_correlation", pa.float64()), ("ssim", pa.float64()),       # with the trained map, mean over samples and labels
    ("num_maps", pa.int32()),
    ("synthetic", pa.bool_()),
])

TABLES = {
    "trial": TRIAL, "epochs": EPOCHS, "predictions": PREDICTIONS, "embeddings": EMBEDDINGS, "scores": SCORES, "neighbours": NEIGHBOURS,
}
# Of a run, not of a trial.
HEATMAPS = {"heatmaps/samples": HEATMAP_SAMPLES, "heatmaps/maps": HEATMAP_MAPS, "heatmaps/checks": HEATMAP_CHECKS}
# fmt: on
