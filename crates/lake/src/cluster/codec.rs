//! What of a plan is ours, as bytes: the fence, masks, and the shells of functions that grow. All else is written by DataFusion
//! and Ballista.
//!
//! No key is ever written. A mask is its rule, its column, its grantee and the print of a key; whoever reads it derives the
//! grantee's keys from a master key of its own, and refuses if that one's print is another ([decision 30](../../../docs/decisions/0030-cluster.md)).

use std::sync::Arc;

use ballista_core::serde::BallistaPhysicalExtensionCodec;
use datafusion::common::{DataFusionError, Result as PlanResult};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::ScalarUDF;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::{PhysicalExtensionCodec, PhysicalProtoConverterExtension};
use guard::MaskKey;
use model::mask::Mask;
use serde_json::{Value, json};

use super::fence::Fence;
use crate::bounds::{self, Room};
use crate::masking::{self, MaskFunction, Masking};

/// Begins what is ours: no message of Ballista's begins so.
const OURS: &[u8] = b"\xffqiantang\x01";

#[derive(Debug)]
pub(super) struct HouseCodec {
    /// `None` in a scheduler: it hands masks on and could not apply one.
    masks: Option<MaskKey>,
    /// What functions of the plans read here may make.
    room: Arc<Room>,
    ballista: BallistaPhysicalExtensionCodec,
}

impl HouseCodec {
    /// Functions may make so many bytes, and a little more.
    pub(super) fn new(masks: Option<MaskKey>, memory: usize) -> Self {
        let room = Room::beside(memory);
        Self { masks, room, ballista: BallistaPhysicalExtensionCodec::default() }
    }
}

impl PhysicalExtensionCodec for HouseCodec {
    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        buf: &mut Vec<u8>,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> PlanResult<()> {
        let any: &dyn std::any::Any = node.as_ref();
        match any.downcast_ref::<Fence>() {
            Some(fence) => {
                write(buf, &json!({ "fence": fence.code(), "bare": fence.bare() }));
                Ok(())
            }
            None => self.ballista.try_encode(node, buf, converter),
        }
    }

    fn try_decode(
        &self,
        buf: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        context: &TaskContext,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        let Some(said) = read(buf)? else {
            return self.ballista.try_decode(buf, inputs, context, converter);
        };
        match (said.get("fence").and_then(Value::as_str), inputs) {
            (Some(code), [inner]) => {
                let bare = said.get("bare").and_then(Value::as_bool).unwrap_or(false);
                Ok(Arc::new(Fence::new(code, bare, Arc::clone(inner))))
            }
            _ => Err(unread()),
        }
    }

    fn try_encode_udf(&self, node: &ScalarUDF, buf: &mut Vec<u8>) -> PlanResult<()> {
        let any: &dyn std::any::Any = node.inner().as_ref();
        if let Some(function) = any.downcast_ref::<MaskFunction>() {
            let (mask, column, grantee, key) = function.told();
            write(buf, &json!({ "mask": mask, "column": column, "grantee": grantee, "key": key }));
        } else if let Some(name) = bounds::shell(node) {
            write(buf, &json!({ "bounded": name }));
        }
        Ok(())
    }

    fn try_decode_udf(&self, name: &str, buf: &[u8]) -> PlanResult<Arc<ScalarUDF>> {
        let Some(said) = read(buf)? else {
            return self.ballista.try_decode_udf(name, buf);
        };
        let text = |key: &str| said.get(key).and_then(Value::as_str);
        if let Some(name) = text("bounded") {
            return bounds::named(name, &self.room).map(Arc::new).ok_or_else(unread);
        }
        let mask: Option<Mask> =
            said.get("mask").and_then(|m| serde_json::from_value(m.clone()).ok());
        let (Some(mask), Some(column), Some(grantee), Some(key)) =
            (mask, text("column"), text("grantee"), text("key"))
        else {
            return Err(unread());
        };
        let masking = match &self.masks {
            None => Masking::passing(grantee, key),
            Some(own) if masking::print(own) == key => Masking::new(own, grantee),
            // Other masks would be worse than none: they look right.
            Some(_) => {
                return Err(DataFusionError::Configuration(
                    "the executor has another master key than the SQL door".into(),
                ));
            }
        };
        Ok(Arc::new(masking::function(&Arc::new(masking), &mask, column)))
    }
}

fn write(buf: &mut Vec<u8>, said: &Value) {
    buf.extend_from_slice(OURS);
    buf.extend_from_slice(said.to_string().as_bytes());
}

/// What was written so; `None` when somebody else wrote it.
fn read(buf: &[u8]) -> PlanResult<Option<Value>> {
    match buf.strip_prefix(OURS) {
        Some(said) => serde_json::from_slice(said).map(Some).map_err(|_| unread()),
        None => Ok(None),
    }
}

fn unread() -> DataFusionError {
    DataFusionError::Internal("a piece of a plan that this version does not know".into())
}
