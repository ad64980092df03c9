"""The columns of every Parquet table with their types and meanings; a new column is added here first."""

import pyarrow as pa

STUDY = pa.schema(
    [
        ("study", pa.string()),  # name of the study
        ("title", pa.string()),  # title of the study
        ("identity", pa.string()),  # JSON {dotted key: value} of all that can change a result
        ("profile", pa.string()),  # profile that was taken: full, laptop, ...
        ("profile_changes", pa.string()),  # JSON {dotted key: value}
        ("spec", pa.string()),  # JSON of the resolved study file, with the profile applied
        ("dataset", pa.string()),  # name of the data set
        ("root", pa.string()),  # folder of the data set
        ("synthetic", pa.bool_()),  # whether the images are drawn; the same in every table
        ("cautions", pa.list_(pa.string())),  # licences of pretrained weights, and images that they saw
        ("kind", pa.string()),  # multilabel | classes | grades
        ("labels", pa.list_(pa.string())),  # names, in the order of every list with one value a label
        ("label_names", pa.list_(pa.string())),  # the same in full; empty where the labels are words already
        ("num_views", pa.int8()),  # 2 where a sample is a pair of eyes, 1 where it is one image
        ("data_fingerprint", pa.string()),  # SHA-256 over names, labels and files of the samples
        ("split_hash", pa.string()),  # SHA-256 over the samples and their splits
        ("split_counts", pa.string()),  # JSON {split: {"patients": n, "samples": n, label: n}}
        ("generated", pa.string()),  # JSON [{"generator", "share", "epochs", "counts": {label: n}, ...}]
        ("skipped", pa.string()),  # JSON {reason: [sample, ...]}
        ("objective", pa.string()),  # what the search makes great or small; the first of several
        ("thresholds", pa.string()),  # rule by which validation chooses thresholds: f1 | youden | half
        ("num_trials", pa.int32()),  # trials of the search
        ("search_space", pa.string()),  # JSON {parameter: {"type", and its range or its choices}}
        ("ablations", pa.string()),  # JSON {table: [variant, ...]}
        ("extensions", pa.string()),  # JSON [{"when": time, "changes": [line, ...]}, ...]
    ]
)

TRIAL = pa.schema(
    [
        ("study", pa.string()),  # name of the study
        ("trial", pa.string()),  # unique key, which is also the name of the trial's folder: search-00003
        ("role", pa.string()),  # search | finetune | confirm | tune | ablation | baseline | ensemble
        ("number", pa.int32()),  # number of the trial in the search; null outside of the search
        ("table", pa.string()),  # ablation that the trial belongs to or tunes, else empty
        ("variant", pa.string()),  # of that ablation, or key of the repeated or fine-tuned trial; else empty
        ("seed", pa.int32()),  # seed of the training
        ("fold", pa.int32()),  # number of the fold that is the test split; 0 without folds
        ("state", pa.string()),  # complete | pruned | failed
        ("outcome", pa.string()),  # empty unless failed: error | non_finite_loss | out_of_memory | time_limit
        ("message", pa.string()),  # what the error said, and what happened to the trial on its way
        ("collapsed", pa.string()),  # why a complete training is worth nothing: empty, or the reason in words
        ("params", pa.string()),  # JSON {parameter: value} as suggested; of an ensemble {trial: weight}
        ("spec", pa.string()),  # JSON of the TrialSpec
        ("fingerprint", pa.string()),  # of TrialSpec and start: trials with one fingerprint are one training
        ("objective", pa.string()),  # name of the first objective
        ("value", pa.float64()),  # its value on validation at the best epoch
        ("head", pa.string()),  # head whose decisions stand for the trial
        ("setting", pa.string()),  # setting of that head
        ("best_epoch", pa.int32()),  # epoch whose weights were kept
        ("num_epochs", pa.int32()),  # epochs that were trained
        ("objectives", pa.string()),  # JSON {name: value} of all objectives, the first one first
        ("num_parameters", pa.int64()),  # parameters of the network
        ("multiply_adds", pa.int64()),  # for one sample at the image size of the trial
        ("seconds_training", pa.float64()),  # seconds from the start to the end of the training
        ("seconds_total", pa.float64()),  # the same to the end of scoring
        ("device", pa.string()),  # name of the device
        ("host", pa.string()),  # name of the machine
        ("device_kind", pa.string()),  # cpu | cuda
        ("num_devices", pa.float64()),  # CPU cores or GPUs of the trial; a part of one if trials share it
        ("started", pa.timestamp("ms", tz="UTC")),  # when the trial began
        ("ended", pa.timestamp("ms", tz="UTC")),  # when it had been scored
        ("provenance", pa.string()),  # JSON of commit, uncommitted difference, lock file, versions, command
        ("data_fingerprint", pa.string()),  # as in STUDY
        ("split_hash", pa.string()),  # as in STUDY
        ("digest", pa.string()),  # SHA-256 over all tables of the trial but this column; `publish` writes it
        ("synthetic", pa.bool_()),
    ]
)

EPOCHS = pa.schema(
    [
        ("trial", pa.string()),
        ("epoch", pa.int32()),  # number of the epoch, from 1
        ("train_loss", pa.float64()),  # mean over the samples of the epoch
        ("val_loss", pa.float64()),  # the same loss on validation
        ("value", pa.float64()),  # first objective on validation
        ("lr", pa.float64()),  # learning rate at the end of the epoch
        ("seconds", pa.float64()),  # seconds spent in training and validation
        ("pairs_per_second", pa.float64()),  # samples per second of the training part
        ("synthetic", pa.bool_()),
    ]
)

PREDICTIONS = pa.schema(
    [
        ("trial", pa.string()),
        ("head", pa.string()),  # network | prior | a post-hoc head in one word: knn, or knn k=2
        ("setting", pa.string()),  # of a post-hoc head, as validation chose it, and of `--flip`; else empty
        ("split", pa.string()),  # val | test | new
        ("sample", pa.string()),  # name of the sample
        ("patient", pa.string()),  # patient of the sample
        ("target", pa.list_(pa.int8())),  # 1 where the sample carries the label, 0 where not, null if unknown
        ("score", pa.list_(pa.float32())),  # probability of each label, 0 to 1
        ("synthetic", pa.bool_()),
    ]
)

DECIDED = ("decided", pa.list_(pa.bool_()))  # whether the head of the trial gives the sample each label
APPLIED = PREDICTIONS.append(pa.field(*DECIDED))
"""Predictions of samples that the study has not seen, and whether each is said to carry each label."""

EMBEDDINGS = pa.schema(
    [
        ("trial", pa.string()),
        ("split", pa.string()),  # train | val | test
        ("sample", pa.string()),
        ("patient", pa.string()),
        ("target", pa.list_(pa.int8())),  # as in PREDICTIONS
        (
            "embedding",
            pa.list_(pa.float32()),
        ),  # what the head works on; by the network's settings of unit length
        ("synthetic", pa.bool_()),  # whether the image is drawn or generated
    ]
)

SCORES = pa.schema(
    [
        ("trial", pa.string()),
        ("head", pa.string()),  # as in PREDICTIONS, or retrieval
        ("setting", pa.string()),  # setting of the head: k=5, cosine, uniform
        ("chosen", pa.bool_()),  # whether validation chose the setting; it was only tried otherwise
        ("split", pa.string()),  # val | test
        ("decision", pa.string()),  # tuned (by the rule of STUDY) | half (threshold 0.5) | argmax | none
        ("metric", pa.string()),  # name of the metric
        ("label", pa.string()),  # empty for a value over all labels
        ("value", pa.float64()),  # value of the metric
        ("synthetic", pa.bool_()),
    ]
)

NEIGHBOURS = pa.schema(
    [
        ("trial", pa.string()),
        ("metric", pa.string()),  # distance between embeddings: euclidean | cosine
        ("split", pa.string()),  # val | test
        ("sample", pa.string()),
        ("neighbour", pa.list_(pa.string())),  # training samples, the nearest first, at most 50
        ("distance", pa.list_(pa.float32())),  # distance of each of them
        ("synthetic", pa.bool_()),
    ]
)

SAMPLES = pa.schema(
    [
        ("sample", pa.string()),
        ("patient", pa.string()),
        ("split", pa.string()),  # train | val | test
        ("age", pa.float64()),  # in years; null where unknown
        ("sex", pa.string()),  # in the words of the data set; null where unknown
        ("findings", pa.string()),  # asymmetric | symmetric | normal, by each eye's labels; null if unknown
        ("target", pa.list_(pa.int8())),  # as in PREDICTIONS
        ("synthetic", pa.bool_()),
    ]
)

EXAMPLES = pa.schema(
    [
        ("label", pa.string()),  # label that the sample stands for
        ("sample", pa.string()),  # a sample of the training split
        ("stage", pa.string()),  # raw | illumination | cutmix
        ("setting", pa.string()),  # empty | name of the correction | kind of CutMix
        ("partner", pa.string()),  # sample that CutMix took the rectangle from; else null
        ("images", pa.list_(pa.binary())),  # JPEG of each view
        ("synthetic", pa.bool_()),
    ]
)

HEATMAP_SAMPLES = pa.schema(
    [
        ("trial", pa.string()),
        ("sample", pa.string()),
        ("patient", pa.string()),
        ("chosen", pa.string()),  # asked | random
        ("label", pa.string()),  # label whose map is shown where there is room for one
        ("target", pa.list_(pa.int8())),  # as in PREDICTIONS
        ("score", pa.list_(pa.float32())),  # as in PREDICTIONS
        ("decided", pa.list_(pa.bool_())),  # whether the head of the trial gives the sample each label
        ("images", pa.list_(pa.binary())),  # JPEG of each view as the network saw it
        ("synthetic", pa.bool_()),
    ]
)

HEATMAP_MAPS = pa.schema(
    [
        ("trial", pa.string()),
        ("sample", pa.string()),
        ("view", pa.int8()),  # 0 for the left eye or the only image, 1 for the right eye
        ("method", pa.string()),  # grad_cam | attention
        ("name", pa.string()),  # name of the label, or of the attention block
        ("step", pa.string()),  # empty for the trained network, else the last part that was randomised
        ("height", pa.int16()),  # rows of the map
        ("width", pa.int16()),  # columns of the map
        ("values", pa.list_(pa.float32())),  # row by row, not normalised, on one scale for both eyes
        ("synthetic", pa.bool_()),
    ]
)

HEATMAP_CHECKS = pa.schema(
    [
        ("trial", pa.string()),
        ("place", pa.int16()),  # number of the step from 0; the randomisation begins at the head
        ("step", pa.string()),  # as in HEATMAP_MAPS
        ("rank_correlation", pa.float64()),  # with the trained network; mean over samples and labels
        ("ssim", pa.float64()),  # structural similarity with the trained network; mean as above
        ("num_maps", pa.int32()),  # number of maps in these means
        ("synthetic", pa.bool_()),
    ]
)

SIMILAR = pa.schema(  # of `python -m study.predict --similar`; one row for each neighbour of a sample
    [
        ("trial", pa.string()),  # trial whose embedding is searched
        ("metric", pa.string()),  # distance between embeddings: euclidean | cosine
        ("sample", pa.string()),
        ("labels", pa.list_(pa.string())),  # labels of the sample; null where they are unknown
        ("rank", pa.int32()),  # 1 for the nearest
        ("neighbour", pa.string()),  # training sample
        ("neighbour_labels", pa.list_(pa.string())),  # labels of the neighbour
        ("distance", pa.float32()),  # distance between the two embeddings
        ("same", pa.bool_()),  # whether both have the same labels; null where those of the sample are unknown
        ("synthetic", pa.bool_()),
    ]
)

CASES = pa.schema(  # small photographs of the samples that the report shows
    [
        ("sample", pa.string()),
        ("view", pa.int8()),  # 0 for the left eye or the only image, 1 for the right eye
        ("jpeg", pa.binary()),  # the photograph
        ("synthetic", pa.bool_()),
    ]
)

LEDGER = pa.schema(  # what the run held when its driver looked; a line never changes and never goes
    [
        ("record", pa.string()),  # trials/KEY, heads/KEY/HEAD, or samples
        ("digest", pa.string()),  # SHA-256 over the tables of the record
        ("synthetic", pa.bool_()),
    ]
)

LEAKAGE = pa.schema(  # of `python -m study.audit --run RUN --price`; one row for each metric and split
    [
        ("metric", pa.string()),  # name of the metric
        ("split", pa.string()),  # by patient | by patient id | by image
        ("value", pa.float64()),  # on the test images, over all divisions
        ("low", pa.float64()),  # lower end of its 95 % interval
        ("high", pa.float64()),  # upper end
        ("gain", pa.float64()),  # how much more that is than by patient; null for that split itself
        ("gain_low", pa.float64()),  # lower end of the gain's 95 % interval
        ("gain_high", pa.float64()),  # upper end
        ("p", pa.float64()),  # two-sided p-value of the gain
        ("training_images", pa.float64()),  # mean number of training images; the same for all splits
        ("leaked_images", pa.float64()),  # mean number of them that show a test patient
        ("divisions", pa.int32()),  # number of divisions, each with a training for each split
        ("trial", pa.string()),  # trial whose configuration was trained
        ("synthetic", pa.bool_()),
    ]
)

TABLES = {
    "trial": TRIAL,
    "epochs": EPOCHS,
    "predictions": PREDICTIONS,
    "embeddings": EMBEDDINGS,
    "scores": SCORES,
    "neighbours": NEIGHBOURS,
}
"""The tables of a trial."""

OF_RUN = {"samples": SAMPLES, "examples": EXAMPLES, "cases": CASES, "ledger": LEDGER, "leakage": LEAKAGE}
"""The tables of a run.

The first two are written before its first trial, `cases` with its report, `leakage` when it is asked for, and
the ledger grows at the start and the end of each driver.
"""

HEATMAPS = {
    "heatmaps/samples": HEATMAP_SAMPLES,
    "heatmaps/maps": HEATMAP_MAPS,
    "heatmaps/checks": HEATMAP_CHECKS,
}
"""The tables of a run that are written after its trials."""
