//! What of plans is ours, to bytes and back; all else Ballista writes itself.

use std::sync::Arc;

use ballista_core::serde::{BallistaLogicalExtensionCodec, BallistaPhysicalExtensionCodec};
use datafusion::{
    arrow::datatypes::SchemaRef,
    catalog::TableProvider,
    common::TableReference,
    datasource::file_format::FileFormatFactory,
    error::{DataFusionError, Result},
    execution::TaskContext,
    logical_expr::{Extension, LogicalPlan, ScalarUDF},
    physical_plan::ExecutionPlan,
};
use datafusion_proto::{
    logical_plan::LogicalExtensionCodec,
    physical_plan::{PhysicalExtensionCodec, PhysicalProtoConverterExtension},
};
use query::wire;

/// Of plans as they are asked.
#[derive(Debug, Default)]
pub(crate) struct LogicalCodec {
    others: BallistaLogicalExtensionCodec,
}

/// Of plans as they are carried out.
#[derive(Debug, Default)]
pub(crate) struct PhysicalCodec {
    others: BallistaPhysicalExtensionCodec,
}

fn function(name: &str, bytes: &[u8]) -> Result<Arc<ScalarUDF>> {
    let unknown = || DataFusionError::Plan(format!("{name} is no function that is known here"));
    wire::function_of_bytes(name, bytes).map(Arc::new).ok_or_else(unknown)
}

/// A function that is not ours is known everywhere by its name.
fn write_function(function: &ScalarUDF, buf: &mut Vec<u8>) {
    buf.extend(wire::function_to_bytes(function).unwrap_or_default());
}

impl LogicalExtensionCodec for LogicalCodec {
    fn try_decode(&self, buf: &[u8], inputs: &[LogicalPlan], ctx: &TaskContext) -> Result<Extension> {
        self.others.try_decode(buf, inputs, ctx)
    }

    fn try_encode(&self, node: &Extension, buf: &mut Vec<u8>) -> Result<()> {
        self.others.try_encode(node, buf)
    }

    fn try_decode_table_provider(
        &self,
        buf: &[u8],
        table_ref: &TableReference,
        schema: SchemaRef,
        _ctx: &TaskContext,
    ) -> Result<Arc<dyn TableProvider>> {
        let unknown = || DataFusionError::Plan(format!("{table_ref} is no table that is known here"));
        wire::table_of_bytes(buf, schema).ok_or_else(unknown)
    }

    fn try_encode_table_provider(
        &self,
        table_ref: &TableReference,
        node: Arc<dyn TableProvider>,
        buf: &mut Vec<u8>,
    ) -> Result<()> {
        let unknown = || DataFusionError::Plan(format!("{table_ref} cannot be sent to a cluster"));
        buf.extend(wire::table_to_bytes(node.as_ref()).ok_or_else(unknown)?);
        Ok(())
    }

    fn try_decode_file_format(&self, buf: &[u8], ctx: &TaskContext) -> Result<Arc<dyn FileFormatFactory>> {
        self.others.try_decode_file_format(buf, ctx)
    }

    fn try_encode_file_format(&self, buf: &mut Vec<u8>, node: Arc<dyn FileFormatFactory>) -> Result<()> {
        self.others.try_encode_file_format(buf, node)
    }

    fn try_decode_udf(&self, name: &str, buf: &[u8]) -> Result<Arc<ScalarUDF>> {
        function(name, buf)
    }

    fn try_encode_udf(&self, node: &ScalarUDF, buf: &mut Vec<u8>) -> Result<()> {
        write_function(node, buf);
        Ok(())
    }
}

impl PhysicalExtensionCodec for PhysicalCodec {
    fn try_decode(
        &self,
        buf: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        ctx: &TaskContext,
        proto_converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.others.try_decode(buf, inputs, ctx, proto_converter)
    }

    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        buf: &mut Vec<u8>,
        proto_converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        self.others.try_encode(node, buf, proto_converter)
    }

    fn try_decode_udf(&self, name: &str, buf: &[u8]) -> Result<Arc<ScalarUDF>> {
        function(name, buf)
    }

    fn try_encode_udf(&self, node: &ScalarUDF, buf: &mut Vec<u8>) -> Result<()> {
        write_function(node, buf);
        Ok(())
    }
}
