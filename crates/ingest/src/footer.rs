//! Footers: rows at the end that are notes, signatures or totals, and not data.

use crate::layout::{Layout, extent};
use crate::matching;
use crate::shape::{Look, look};
use crate::token::Row;

impl Layout {
    /// How many of the last rows are notes or totals.
    pub(crate) fn footer(&self, rows: &[Row], ragged: bool) -> usize {
        let width = self.headers.len();
        let mut count = 0;
        for (back, row) in rows.iter().rev().enumerate() {
            if back >= 12 || !self.foot_row(row, width, ragged) {
                break;
            }
            count = back + 1;
        }
        // A gap before the notes takes the rows below it along, if they are short.
        count
    }

    fn foot_row(&self, row: &Row, width: usize, ragged: bool) -> bool {
        let full: Vec<&str> =
            row.cells.iter().map(|c| c.trim()).filter(|c| !c.is_empty()).collect();
        let Some(first) = full.first() else { return false };
        if *first == "\u{1a}" {
            // The end mark of DOS.
            return true;
        }
        if width < 2 {
            return row.gap && note_word(first);
        }
        if total_word(first) && row.cells.iter().take(3).any(|c| c.trim() == *first) {
            return true;
        }
        let short = ragged || row.cells.len() < width || extent(&row.cells) <= 1;
        if full.len() == 1 && short {
            let first_typed = self.typed.first() == Some(&true);
            return note_word(first)
                || (look(first) == Look::Text
                    && width > 2
                    && (row.gap || (first_typed && row.cells.len() == 1)));
        }
        width > 3
            && full.len() * 2 <= width
            && full.iter().all(|c| c.contains(['：', ':']) && look(c) == Look::Text)
    }
}

fn note_word(text: &str) -> bool {
    const STARTS: [&str; 26] = [
        "注",
        "备注",
        "说明",
        "数据来源",
        "来源",
        "资料来源",
        "数据说明",
        "制表",
        "填表",
        "填报",
        "审核",
        "单位负责人",
        "统计",
        "打印",
        "导出",
        "以上",
        "note",
        "source",
        "footnote",
        "generated",
        "exported",
        "end of",
        "copyright",
        "#",
        "*",
        "--",
    ];
    let lower = text.trim_start_matches(['(', '（', '[', '【']).to_lowercase();
    let start = STARTS.iter().any(|w| lower.starts_with(w));
    let counted = (lower.starts_with('共') || lower.starts_with("total"))
        && lower.contains(|c: char| c.is_ascii_digit());
    start
        && (lower.contains(['：', ':', '。', ' ', '，', '.', '#', '*', '-'])
            || lower.chars().count() > 8)
        || counted
}

fn total_word(text: &str) -> bool {
    let plain: String = matching::plain(text).trim_end_matches([':', '：']).to_owned();
    matches!(
        plain.as_str(),
        "合计"
            | "总计"
            | "共计"
            | "累计"
            | "小计"
            | "汇总"
            | "总和"
            | "合計"
            | "總計"
            | "total"
            | "grandtotal"
            | "sum"
            | "subtotal"
            | "totals"
    )
}
