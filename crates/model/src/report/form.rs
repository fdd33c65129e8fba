//! The form: what is asked for, as a copy of the entry's items with what the designer adds to each.

use serde::{Deserialize, Serialize};

use crate::code::{DataType, code_list};
use crate::item::Item;

code_list! {
    /// Where a field's value comes from.
    Auto {
        Typed = "typed", "填报", "Typed in";
        OrgName = "org_name", "填报单位名称", "Name of the reporting organisation";
        OrgCode = "org_code", "填报单位统一社会信用代码", "Credit code of the reporting organisation";
        Region = "region", "填报单位行政区划代码", "Region of the reporting organisation";
        Period = "period", "报送期", "Period";
    }
}
code_list! {
    /// What a level's figure must be of the figures below it.
    TotalRule {
        None = "none", "不核对", "Not compared";
        Sum = "sum", "等于下级合计", "Equals the sum below";
        Max = "max", "等于下级最大值", "Equals the highest below";
    }
}

/// Cells of one row, one for each field of the form; those that do not belong to the row are `None`.
pub type Cells = Vec<Option<String>>;

/// A choice of a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeName {
    pub code: String,
    #[serde(default)]
    pub name: String,
}

/// A field of a form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormField {
    /// The catalogue's item as it was when the form was drawn up.
    pub item: Item,
    #[serde(default = "typed")]
    pub auto: Auto,
    /// Filled in every row of the group; otherwise once.
    #[serde(default)]
    pub repeated: bool,
    #[serde(default)]
    pub required: bool,
    /// Lowest and highest value (numbers; dates as `YYYY-MM-DD`), empty for none.
    #[serde(default)]
    pub least: String,
    #[serde(default)]
    pub most: String,
    /// Regular expression that the whole text matches; empty for none.
    #[serde(default)]
    pub pattern: String,
    /// Choices; empty when any value is taken.
    #[serde(default)]
    pub codes: Vec<CodeName>,
    #[serde(default)]
    pub help: String,
    #[serde(default)]
    pub help_en: String,
    #[serde(default = "uncompared")]
    pub total: TotalRule,
}

fn typed() -> Auto {
    Auto::Typed
}

fn uncompared() -> TotalRule {
    TotalRule::None
}

impl FormField {
    /// A field as the item alone makes it.
    #[must_use]
    pub fn of(item: &Item) -> Self {
        let codes: Vec<CodeName> = if item.value_domain.contains('|') {
            let code = |code: &str| CodeName { code: code.trim().to_owned(), name: String::new() };
            item.value_domain.split('|').map(code).filter(|c| !c.code.is_empty()).collect()
        } else {
            Vec::new()
        };
        Self {
            auto: Self::guess(item),
            repeated: true,
            required: item.primary || !item.nullable,
            least: String::new(),
            most: String::new(),
            pattern: String::new(),
            codes,
            help: item.definition.clone(),
            help_en: String::new(),
            total: TotalRule::None,
            item: item.clone(),
        }
    }

    /// What the identifier says of where the value comes from.
    fn guess(item: &Item) -> Auto {
        match item.identifier.as_str() {
            "region_code" | "xzqhdm" | "xzqh" => Auto::Region,
            "period" | "bsq" | "bgq" | "tjq" => Auto::Period,
            "tbdw" | "bsdw" | "report_org" => Auto::OrgName,
            "tbdw_code" | "bsdw_dm" | "report_org_code" => Auto::OrgCode,
            _ => Auto::Typed,
        }
    }

    #[must_use]
    pub fn id(&self) -> &str {
        &self.item.identifier
    }
    /// Whether people fill it in.
    #[must_use]
    pub fn typed(&self) -> bool {
        self.auto == Auto::Typed
    }
    #[must_use]
    pub fn numeric(&self) -> bool {
        matches!(self.item.data_type, DataType::Integer | DataType::Decimal | DataType::Float)
    }
    /// Whether a spreadsheet must keep it as text: identifiers, and numbers longer than it can hold.
    #[must_use]
    pub fn as_text(&self) -> bool {
        match self.item.data_type {
            DataType::Integer | DataType::Decimal => {
                self.item.precision > 15 || self.item.length > 15
            }
            DataType::Float => false,
            _ => true,
        }
    }
}

/// The rows of a form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormGroup {
    #[serde(default)]
    pub title: String,
    #[serde(default)]
    pub title_en: String,
    /// Rows at least, and at most (0: as many as the platform takes).
    #[serde(default)]
    pub least: u64,
    #[serde(default)]
    pub most: u64,
}

impl Default for FormGroup {
    fn default() -> Self {
        Self { title: "明细".into(), title_en: "Rows".into(), least: 1, most: 0 }
    }
}

/// A rule between fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormRule {
    /// An expression over the fields' identifiers that is true when all is well: `sum <= total`.
    pub expression: String,
    /// What is wrong when it is false.
    pub zh: String,
    #[serde(default)]
    pub en: String,
    /// Field that the fault is shown at; the first one named when empty.
    #[serde(default)]
    pub field: String,
}

/// Files that go with a fill.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormFiles {
    #[serde(default)]
    pub least: u64,
    #[serde(default)]
    pub help: String,
    #[serde(default)]
    pub help_en: String,
}

/// What a designer writes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormDraft {
    pub title: String,
    #[serde(default)]
    pub title_en: String,
    /// Entry that accepted rows go to.
    pub entry: String,
    pub entry_code: String,
    pub entry_title: String,
    /// Words above the form.
    #[serde(default)]
    pub guide: String,
    #[serde(default)]
    pub guide_en: String,
    #[serde(default)]
    pub group: FormGroup,
    pub fields: Vec<FormField>,
    #[serde(default)]
    pub rules: Vec<FormRule>,
    #[serde(default)]
    pub files: FormFiles,
    /// Fields by which totals are taken apart; empty: one total of all rows.
    #[serde(default)]
    pub total_by: Vec<String>,
}

impl FormDraft {
    /// Whether the form has rows; otherwise the fields filled once make the one row.
    #[must_use]
    pub fn has_rows(&self) -> bool {
        self.fields.iter().any(|f| f.typed() && f.repeated)
    }
    /// Place of a field.
    #[must_use]
    pub fn place(&self, identifier: &str) -> Option<usize> {
        self.fields.iter().position(|f| f.id() == identifier)
    }
    /// Fields whose totals are compared, with their places.
    pub fn totalled(&self) -> impl Iterator<Item = (usize, &FormField)> {
        self.fields.iter().enumerate().filter(|(_, f)| f.total != TotalRule::None)
    }
    /// Whether a field is filled in row `n` (0 holds what is filled once).
    #[must_use]
    pub fn belongs(&self, field: &FormField, n: u64) -> bool {
        field.typed() && field.repeated == (n > 0)
    }
    /// A row without anything in it.
    #[must_use]
    pub fn blank(&self) -> Cells {
        vec![None; self.fields.len()]
    }
    /// The record that a row makes together with what is filled once and what the platform fills.
    #[must_use]
    pub fn record(&self, auto: &dyn Fn(Auto) -> String, head: &Cells, row: &Cells) -> Cells {
        let cell = |n: usize, field: &FormField| match field.auto {
            Auto::Typed if field.repeated => row.get(n).cloned().flatten(),
            Auto::Typed => head.get(n).cloned().flatten(),
            other => Some(auto(other)).filter(|text| !text.is_empty()),
        };
        self.fields.iter().enumerate().map(|(n, field)| cell(n, field)).collect()
    }
}

/// A form as kept. What is published are its versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    pub id: String,
    pub org: String,
    #[serde(flatten)]
    pub draft: FormDraft,
    /// Newest published version; 0: none yet.
    pub version: u64,
    /// The draft differs from the newest version.
    pub changed: bool,
    /// Counts the edits, so that two people do not overwrite each other.
    pub edit: u64,
    pub updated_at: String,
    pub updated_by: String,
}

/// A published version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormVersion {
    pub form: String,
    pub version: u64,
    #[serde(flatten)]
    pub draft: FormDraft,
    pub published_at: String,
    pub published_by: String,
}

/// Something wrong with a cell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Row, from 1; 0 for what is filled once.
    pub row: u64,
    /// Field; empty when it concerns the row or the whole form.
    pub field: String,
    /// Place in a workbook (`明细!C7`); empty for what was typed in.
    #[serde(default)]
    pub at: String,
    pub zh: String,
    pub en: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_takes_over_what_its_item_says() {
        let mut item = Item::new("lx", "类型", DataType::Text);
        item.value_domain = "01| 02 |".into();
        item.nullable = false;
        let field = FormField::of(&item);
        let codes: Vec<&str> = field.codes.iter().map(|c| c.code.as_str()).collect();
        assert_eq!((codes, field.required, field.auto), (vec!["01", "02"], true, Auto::Typed));
        let region = FormField::of(&Item::new("region_code", "区划", DataType::Text));
        assert_eq!(region.auto, Auto::Region);
    }

    #[test]
    fn a_record_is_put_together_from_three_places() {
        let field = |id: &str| FormField::of(&Item::new(id, id, DataType::Text));
        let mut once = field("once");
        once.repeated = false;
        let draft = FormDraft {
            fields: vec![field("region_code"), once, field("each")],
            ..FormDraft::default()
        };
        let text = |t: &str| Some(t.to_owned());
        let auto = |_: Auto| "330110".to_owned();
        let record = draft.record(
            &auto,
            &vec![None, text("a"), text("no")],
            &vec![text("no"), text("no"), text("b")],
        );
        assert_eq!(record, [text("330110"), text("a"), text("b")]);
        assert!(draft.has_rows());
    }
}
