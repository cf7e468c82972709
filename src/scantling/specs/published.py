"""How large every named variant is: counted from the built networks, kept as plain data.

A test builds each network and counts again. Parameters leave out the running statistics of the
normalisations; multiply-accumulates are those of the convolutions, at the variant's own image size.
"""

from typing import NamedTuple


class NetworkSize(NamedTuple):
    """What a variant costs.

    Attributes:
        parameters: numbers that training changes.
        macs: multiply-accumulates for one image of the variant's size, with its number of classes.
        weights: whether official weights can be fetched by name.
    """

    parameters: int
    macs: int
    weights: bool


# fmt: off
SIZES: dict[str, NetworkSize] = {
    "yolov4":              NetworkSize( 64_363_101,  64_194_741_248, True),
    "yolov4-sam-mish":     NetworkSize( 65_742_941,  46_328_446_976, False),
    "yolov4-csresnext50":  NetworkSize( 56_942_525,  50_265_801_728, False),
    "yolov4-tiny":         NetworkSize(  6_056_606,   3_453_938_176, True),
    "yolov4-tiny-3l":      NetworkSize(  6_327_453,   8_867_684_864, False),
    "yolov4-csp":          NetworkSize( 52_921_437,  60_119_859_200, True),
    "yolov4x-mish":        NetworkSize( 99_751_053, 110_942_310_400, True),
    "yolov4-p5":           NetworkSize( 70_830_684, 163_321_675_776, True),
    "yolov4-p6":           NetworkSize(127_585_200, 358_509_772_800, True),
    "yolov4-p7":           NetworkSize(287_575_580, 818_352_046_080, False),
    "yolov4-csp-pt":       NetworkSize( 52_924_765,  60_119_859_200, False),
    "yolov4-p5-pt":        NetworkSize( 70_834_012, 163_321_675_776, False),
    "yolov4-p6-pt":        NetworkSize(127_590_576, 358_509_772_800, False),
    "efficientdet-d0":     NetworkSize(  3_880_067,   2_492_331_520, True),
    "efficientdet-d1":     NetworkSize(  6_625_898,   6_003_416_880, True),
    "efficientdet-d2":     NetworkSize(  8_097_039,  10_832_466_688, True),
    "efficientdet-d3":     NetworkSize( 12_032_296,  24_568_753_664, True),
    "efficientdet-d4":     NetworkSize( 20_723_675,  54_583_712_096, True),
    "efficientdet-d5":     NetworkSize( 33_653_315, 134_133_865_152, True),
    "efficientdet-d6":     NetworkSize( 51_871_782, 224_121_477_984, True),
    "efficientdet-d7":     NetworkSize( 51_871_782, 322_731_636_576, True),
    "efficientdet-d7x":    NetworkSize( 77_147_166, 407_628_345_344, True),
    "efficientdet-lite0":  NetworkSize(  3_243_470,     973_589_696, True),
    "efficientdet-lite1":  NetworkSize(  4_248_318,   1_966_649_904, True),
    "efficientdet-lite2":  NetworkSize(  5_252_334,   3_371_304_384, True),
    "efficientdet-lite3":  NetworkSize(  8_350_862,   7_480_187_904, True),
    "efficientdet-lite3x": NetworkSize(  9_280_862,  13_978_127_600, True),
    "efficientdet-lite4":  NetworkSize( 15_130_894,  20_168_084_000, True),
    "efficientdet-d0-pt":  NetworkSize(  3_877_763,   2_492_331_520, True),
    "efficientdet-d1-pt":  NetworkSize(  6_622_026,   6_003_416_880, True),
    "efficientdet-d2-pt":  NetworkSize(  8_091_215,  10_832_466_688, False),
    "efficientdet-d3-pt":  NetworkSize( 12_022_376,  24_568_753_664, False),
    "efficientdet-d0-ap":  NetworkSize(  3_880_067,   2_492_331_520, True),
    "efficientdet-d1-ap":  NetworkSize(  6_625_898,   6_003_416_880, True),
    "efficientdet-d2-ap":  NetworkSize(  8_097_039,  10_832_466_688, True),
    "efficientdet-d3-ap":  NetworkSize( 12_032_296,  24_568_753_664, True),
    "efficientdet-d4-ap":  NetworkSize( 20_723_675,  54_583_712_096, True),
    "efficientdet-d5-ap":  NetworkSize( 33_653_315, 134_133_865_152, True),
}
# fmt: on
