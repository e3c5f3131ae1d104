//! A store that is not read: whoever tries is told why. An error where a plan is taken apart would reach nobody who asks.

use std::fmt;

use async_trait::async_trait;
use futures::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, path::Path,
};

/// Why it is not read.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    pub(crate) why: String,
}

impl Refused {
    fn error<T>(&self) -> Result<T> {
        Err(Error::Generic { store: "refused", source: self.why.clone().into() })
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

#[async_trait]
impl ObjectStore for Refused {
    async fn put_opts(&self, _to: &Path, _payload: PutPayload, _options: PutOptions) -> Result<PutResult> {
        self.error()
    }

    async fn put_multipart_opts(
        &self,
        _to: &Path,
        _options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.error()
    }

    async fn get_opts(&self, _from: &Path, _options: GetOptions) -> Result<GetResult> {
        self.error()
    }

    fn delete_stream(&self, _paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let error = self.error();
        stream::once(async { error }).boxed()
    }

    fn list(&self, _below: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let error = self.error();
        stream::once(async { error }).boxed()
    }

    async fn list_with_delimiter(&self, _below: Option<&Path>) -> Result<ListResult> {
        self.error()
    }

    async fn copy_opts(&self, _from: &Path, _to: &Path, _options: CopyOptions) -> Result<()> {
        self.error()
    }
}
