//! Words of the open-data site: charts and the open index.

use super::Words;

pub(super) const CHART_KINDS: Words = &[
    ("bar", "柱状图", "Bars"),
    ("line", "折线图", "Line"),
    ("pie", "饼图", "Pie"),
    ("scatter", "散点图", "Scatter"),
];
pub(super) const CHART_STEPS: Words =
    &[("each", "每个值", "Each value"), ("month", "按月", "By month"), ("year", "按年", "By year")];
pub(super) const DEFECTS: Words = &[
    ("fragmented", "碎片化", "Fragmented"),
    ("low_capacity", "低容量", "Low capacity"),
    ("missing", "高缺失", "Mostly empty"),
    ("stiff", "生硬格式转化", "Stiff format"),
    ("late", "未按期更新", "Not updated on time"),
    ("described", "元数据不完整", "Poorly described"),
    ("unused", "无人使用", "Used by nobody"),
];
pub(super) const DIMENSIONS: Words = &[
    ("findability", "可发现", "Findability"),
    ("accessibility", "可获取", "Accessibility"),
    ("interoperability", "可互通", "Interoperability"),
    ("reusability", "可再利用", "Reusability"),
    ("contextuality", "有上下文", "Contextuality"),
];
