//! The plan inside a view: row filter, granted columns, masks, with the record number of each row in front.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::{Expr, TryCast};
use model::{Error, Result};
use policy::Grant;
use policy::port::ShareColumn;

use crate::lake::DeltaLake;
use crate::masking::Masking;
use crate::schema::{self, HASH, RECORD_ID, Shape};
use crate::view::named;
use crate::wire::granted_schema;
use crate::{fault, filter, masking};

/// Column of a plan that holds the hash of the key.
pub(super) const MARK: &str = "dsc_mark";

/// The granted columns with the types they go out by.
pub(super) fn columns(grant: &Grant, stored: &[Shape]) -> Result<Vec<ShareColumn>> {
    let shapes = schema::stored_columns(&granted_schema(grant, stored))?;
    let told = schema::delta_schema(&shapes)?;
    grant
        .columns()
        .iter()
        .map(|column| {
            let field = told
                .field(&column.identifier)
                .ok_or_else(|| Error::internal("lake: a view without its column"))?;
            Ok(ShareColumn {
                name: column.identifier.clone(),
                title: column.name_cn.clone(),
                kind: field.data_type().to_string(),
            })
        })
        .collect()
}

/// Schema of the record numbers beside the files of a view.
pub(super) fn ids_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new(RECORD_ID, arrow::datatypes::DataType::Int64, true)]))
}

/// How rows of one table version become rows of a view with the columns of `schema`.
pub(super) struct Shown<'a> {
    pub(super) grant: &'a Grant,
    pub(super) schema: SchemaRef,
    masker: Arc<Masking>,
}

impl<'a> Shown<'a> {
    /// As the version with the columns `stored` shows them.
    pub(super) fn of(lake: &DeltaLake, grant: &'a Grant, stored: &[Shape]) -> Self {
        Self {
            grant,
            schema: granted_schema(grant, stored),
            masker: Arc::new(Masking::new(&lake.mask_key, grant.grantee())),
        }
    }

    /// Rows that the grant shows of `rows`, whose columns are `stored`: record number (and hash of the key), then the columns.
    pub(super) fn rows(&self, rows: DataFrame, stored: &[Shape], mark: bool) -> Result<DataFrame> {
        let failed = |e| fault::plan("a shared view", e);
        let rows = filter::granted(rows, self.grant, stored)?;
        let mut wanted: Vec<Expr> = vec![named(RECORD_ID)];
        if mark {
            wanted.push(named(HASH).alias(MARK));
        }
        for (column, field) in self.grant.columns().iter().zip(self.schema.fields()) {
            let value = masking::shown(&self.masker, column, stored);
            // An earlier version may have had another type: what does not fit is empty, never an error.
            let cast = Expr::TryCast(TryCast::new(Box::new(value), field.data_type().clone()));
            wanted.push(cast.alias(&column.identifier));
        }
        rows.select(wanted).map_err(failed)
    }
}
