"""Target assignment and losses again, in plain loops over images, objects, anchors and cells.

Written from the published rules, on Python numbers, without a function of the package.
"""

import math

import numpy as np


def sigmoid(value):
    return 1 / (1 + math.exp(-value))


def corners(box):
    x, y, width, height = box
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def plain_iou(a, b):
    a, b = corners(a), corners(b)
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    return width * height / union


def hull(a, b):
    a, b = corners(a), corners(b)
    return max(a[2], b[2]) - min(a[0], b[0]), max(a[3], b[3]) - min(a[1], b[1])


def distance(a, b):
    width, height = hull(a, b)
    return ((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2) / (width**2 + height**2)


def angle_gap(a, b):
    return math.atan(b[2] / b[3]) - math.atan(a[2] / a[3])


def likeness(kind, a, b, *, beta=1.0):
    """How alike two boxes (centre x, centre y, width, height) are."""
    overlap = plain_iou(a, b)
    if kind == "giou":
        width, height = hull(a, b)
        # IoU = I / U and I = IoU · (A + B) / (1 + IoU)
        union = (a[2] * a[3] + b[2] * b[3]) / (1 + overlap)
        return overlap - (width * height - union) / (width * height)
    if kind == "diou":
        return overlap - distance(a, b) ** beta
    if kind == "ciou":
        shape = 4 / math.pi**2 * angle_gap(a, b) ** 2
        weight = shape / (1 - overlap + shape) if shape else 0.0
        return overlap - distance(a, b) - weight * shape
    return overlap


def slope(function, box, step=1e-6):
    """The gradient of a function of a box, by differences."""
    found = []
    for index in range(4):
        above, below = list(box), list(box)
        above[index] += step
        below[index] -= step
        found.append((function(above) - function(below)) / (2 * step))
    return found


def darknet_slope(kind, box, truth):
    """The gradient that darknet takes of a likeness, in shares of the image."""
    if kind == "iou":
        return slope(lambda moved: plain_iou(moved, truth), box)
    if kind in ("giou", "diou"):
        return slope(lambda moved: likeness(kind, moved, truth, beta=0.6), box)
    found = slope(lambda moved: plain_iou(moved, truth) - distance(moved, truth), box)
    gap = angle_gap(box, truth)
    shape = 4 / math.pi**2 * gap**2
    weight = shape / (1 - plain_iou(box, truth) + shape + 1e-6)
    # d shape / d width = 8/π² · gap · (−height / (w² + h²)), and darknet leaves the divisor out
    found[2] -= weight * 8 / math.pi**2 * gap * -box[3]
    found[3] -= weight * 8 / math.pi**2 * gap * box[2]
    return found


class DarknetLevel:
    """One level of darknet's rule: activated outputs, and what is to be added to them."""

    def __init__(self, raw, level, settings, classes):
        self.raw, self.level, self.settings, self.classes = raw, level, settings, classes
        self.new_coords = level["box_coding"] == "sigmoid"
        self.rows, self.columns = raw.shape[-2:]
        self.delta = np.zeros_like(raw)  # (N, A, 5 + K, H, W)
        self.near = {}  # whether a prediction is ignored, or taught its overlap

    def output(self, image, anchor, channel, row, column):
        value = self.raw[image, anchor, channel, row, column]
        if channel in (2, 3) and not self.new_coords:
            return value
        value = sigmoid(value)
        scale = self.level["scale_xy"]
        return scale * value - (scale - 1) / 2 if channel < 2 else value

    def box(self, image, anchor, row, column, size):
        x, y, width, height = (self.output(image, anchor, c, row, column) for c in range(4))
        anchor_width, anchor_height = self.level["anchors"][anchor]
        if self.new_coords:
            width, height = 4 * width**2, 4 * height**2
        else:
            width, height = math.exp(width), math.exp(height)
        return (
            (column + x) / self.columns,
            (row + y) / self.rows,
            width * anchor_width / size[1],
            height * anchor_height / size[0],
        )

    def background(self, image, truths, size):
        settings = self.settings
        for anchor in range(len(self.level["anchors"])):
            for row in range(self.rows):
                for column in range(self.columns):
                    place = (image, anchor, row, column)
                    outputs = [
                        self.output(image, anchor, 5 + label, row, column)
                        for label in range(self.classes)
                    ]
                    best = 0.0
                    if max(outputs) > 0.25:
                        box = self.box(*place, size)
                        best = max((plain_iou(box, truth[0]) for truth in truths), default=0.0)
                    objectness = self.output(image, anchor, 4, row, column)
                    delta = settings.objectness_gain * -objectness
                    self.near[place] = best > settings.ignore_threshold
                    if best > settings.ignore_threshold:
                        delta = 0.0
                        if settings.smooth_objectness:
                            delta = settings.objectness_gain * (best - objectness)
                    self.delta[image, anchor, 4, row, column] = delta

    def teach(self, image, anchor, truth, size):
        """One object to one anchor, at the cell of its centre."""
        box, label = truth
        row, column = math.floor(box[1] * self.rows), math.floor(box[0] * self.columns)
        settings = self.settings
        weight = settings.class_weights[label] if settings.class_weights else 1.0
        objectness = self.output(image, anchor, 4, row, column)
        if not (settings.smooth_objectness and self.near[image, anchor, row, column]):
            self.delta[image, anchor, 4, row, column] = (
                settings.objectness_gain * weight * (1 - objectness)
            )
        self.teach_class(image, anchor, row, column, label, weight)
        self.teach_box(image, anchor, row, column, box, weight, size)

    def teach_class(self, image, anchor, row, column, label, weight):
        settings, delta = self.settings, self.delta[image, anchor, 5:, row, column]
        epsilon = settings.label_smoothing
        outputs = [
            self.output(image, anchor, 5 + other, row, column) for other in range(self.classes)
        ]
        if delta.any():
            delta[label] = weight * settings.class_gain * (1 - epsilon / 2 - outputs[label])
            return
        for other in range(self.classes):
            target = (1 - epsilon / 2) if other == label else epsilon / 2
            delta[other] = settings.class_gain * (target - outputs[other])
        delta[label] *= weight
        if settings.focal:
            own = outputs[label]
            delta *= 0.5 * (1 - own) * (1 - own - 2 * own * math.log(own))

    def teach_box(self, image, anchor, row, column, truth, weight, size):
        settings = self.settings
        width, height = self.level["anchors"][anchor]
        gain = settings.box_gain * weight
        if settings.box_loss == "mse":
            ratios = truth[2] * size[1] / width, truth[3] * size[0] / height
            targets = [truth[0] * self.columns - column, truth[1] * self.rows - row]
            targets += [
                math.sqrt(ratio / 4) if self.new_coords else math.log(ratio) for ratio in ratios
            ]
            for index, target in enumerate(targets):
                error = target - self.output(image, anchor, index, row, column)
                error *= gain * (2 - truth[2] * truth[3])
                self.delta[image, anchor, index, row, column] += error
            return
        found = darknet_slope(settings.box_loss, self.box(image, anchor, row, column, size), truth)
        if not self.new_coords:
            found[2] *= math.exp(self.raw[image, anchor, 2, row, column])
            found[3] *= math.exp(self.raw[image, anchor, 3, row, column])
        most = math.inf if settings.max_delta is None else settings.max_delta
        for index, value in enumerate(found):
            self.delta[image, anchor, index, row, column] += min(max(gain * value, -most), most)

    def gradient(self, held):
        """The gradient to raw values: through a logistic convolution with new_coords."""
        delta = self.delta.copy()
        if self.settings.match_threshold < 1:
            for (image, anchor, row, column), labels in held.items():
                delta[image, anchor, :4, row, column] /= len(labels)
        if self.new_coords:
            activated = 1 / (1 + np.exp(-self.raw))
            delta *= activated * (1 - activated)
        return -delta


def darknet_gradients(raw, levels, settings, truths, size, classes):
    """The gradients of darknet's rule, for the sum over the images.

    Args:
        raw: per level (N, A, 5 + K, H, W) float64.
        levels: per level a dict of anchors, box_coding, scale_xy.
        settings: with one value for all levels.
        truths: per image a list of ((x, y, width, height) in shares, label).
        size: (height, width).
        classes: K.
    """
    parts = [
        DarknetLevel(values, level, settings, classes)
        for values, level in zip(raw, levels, strict=True)
    ]
    every = [anchor for level in levels for anchor in level["anchors"]]
    every += settings.other_anchors

    def fit(truth, anchor):
        shape = (0, 0, anchor[0] / size[1], anchor[1] / size[0])
        return plain_iou(shape, (0, 0, *truth[0][2:]))

    found = []
    for part in parts:
        held = {}
        for image, objects in enumerate(truths):
            part.background(image, objects, size)
            for truth in objects:
                best = max(every, key=lambda anchor: fit(truth, anchor))
                for anchor, shape in enumerate(part.level["anchors"]):
                    if shape == best or fit(truth, shape) > settings.match_threshold:
                        part.teach(image, anchor, truth, size)
                        place = (
                            image,
                            anchor,
                            math.floor(truth[0][1] * part.rows),
                            math.floor(truth[0][0] * part.columns),
                        )
                        held.setdefault(place, set()).add(truth[1])
        found.append(part.gradient(held))
    return found


def entropy(logit, target, positive_weight=1.0):
    probability = sigmoid(logit)
    return -(
        positive_weight * target * math.log(probability) + (1 - target) * math.log(1 - probability)
    )


def scaled_terms(raw, levels, settings, truths, size, classes, balance):
    """Box, objectness and class terms of Scaled-YOLOv4's rule, before the nominal batch.

    Args:
        raw, levels, truths, size, classes: as in `darknet_gradients`.
        settings: of the loss.
        balance: weight of each level's objectness.
    """
    box = objectness = class_term = 0.0
    for values, level, weight in zip(raw, levels, balance, strict=True):
        images, anchors, _, rows, columns = values.shape
        aims = np.zeros((images, anchors, rows, columns))
        box_losses, class_losses = [], []
        for image, objects in enumerate(truths):
            for truth, label in objects:
                for anchor, (width, height) in enumerate(level["anchors"]):
                    ratios = truth[2] * size[1] / width, truth[3] * size[0] / height
                    worst = max(max(ratio, 1 / ratio) for ratio in ratios)
                    if worst >= settings.anchor_ratio:
                        continue
                    for row, column in cells(truth, rows, columns, settings.offset):
                        t = values[image, anchor, :, row, column]
                        scale = level["scale_xy"]
                        x, y = (scale * sigmoid(v) - (scale - 1) / 2 for v in t[:2])
                        if level["box_coding"] == "sigmoid":
                            w, h = ((2 * sigmoid(v)) ** 2 for v in t[2:4])
                        else:
                            w, h = (math.exp(v) for v in t[2:4])
                        cell = size[0] / rows
                        predicted = ((column + x) * cell, (row + y) * cell, w * width, h * height)
                        goal = (
                            truth[0] * size[1],
                            truth[1] * size[0],
                            truth[2] * size[1],
                            truth[3] * size[0],
                        )
                        alike = likeness(settings.box_loss, predicted, goal)
                        box_losses.append(1 - alike)
                        aim = (1 - settings.iou_share) + settings.iou_share * max(alike, 0)
                        place = (image, anchor, row, column)
                        aims[place] = max(aims[place], aim)
                        for other in range(classes):
                            half = settings.label_smoothing / 2
                            target = 1 - half if other == label else half
                            class_losses.append(
                                entropy(t[5 + other], target, settings.class_positive_weight)
                            )
        if box_losses:
            box += sum(box_losses) / len(box_losses)
            class_term += sum(class_losses) / len(class_losses)
        losses = [
            entropy(logit, aim, settings.objectness_positive_weight)
            for logit, aim in zip(values[:, :, 4].ravel(), aims.ravel(), strict=True)
        ]
        objectness += weight * sum(losses) / len(losses)
    share = 3 / len(levels)
    more = 1.4 if len(levels) >= 4 else 1.0
    return (
        box * settings.box_gain * share,
        objectness * settings.objectness_gain * share * more,
        class_term * settings.class_gain * share * classes / 80,
    )


def cells(truth, rows, columns, offset):
    """The cell of an object's centre, and the neighbours that it is near to."""
    x, y = truth[0] * columns, truth[1] * rows
    row, column = math.floor(y), math.floor(x)
    found = [(row, column)]
    if x % 1 < offset and x > 1:
        found.append((row, column - 1))
    if y % 1 < offset and y > 1:
        found.append((row - 1, column))
    if (columns - x) % 1 < offset and columns - x > 1:
        found.append((row, column + 1))
    if (rows - y) % 1 < offset and rows - y > 1:
        found.append((row + 1, column))
    return found
