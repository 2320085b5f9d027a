//! Changing what this node says of itself: tags and services.

use std::collections::BTreeMap;
use std::sync::Arc;

use chisme_proto::{Record, RecordEdit, RecordError, Service, ServiceStatus};
use tokio::sync::oneshot;

use crate::driver::Request;
use crate::owners::GuardId;
use crate::{Cluster, Registration, Stopped};

/// Why a node's tags and services are as they were.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// What was asked for is not there, or breaks a limit; the text quotes it.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The node has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Tags and services of this node. A change is in this node's own snapshot when the call returns, and
/// with the others within about a second; changes that come within 50 ms travel together. All that a
/// node says may have 16 KiB ([`MAX_RECORD_BYTES`](chisme_proto::MAX_RECORD_BYTES)).
impl Cluster {
    /// What this node says of itself at this moment.
    pub fn record(&self) -> Arc<Record> {
        Arc::clone(&self.snapshot().local.record)
    }

    /// Puts these tags in the place of all that this node has.
    ///
    /// # Errors
    /// [`ChangeError`]; then nothing has changed.
    pub async fn set_tags<K: Into<String>, V: Into<String>>(
        &self,
        tags: impl IntoIterator<Item = (K, V)>,
    ) -> Result<(), ChangeError> {
        self.edit_record(RecordEdit::SetTags(owned(tags))).await
    }

    /// Adds these tags, or changes their values; the others stay.
    ///
    /// ```no_run
    /// # async fn run(cluster: chisme::Cluster) -> Result<(), chisme::ChangeError> {
    /// cluster.merge_tags([("zone", "eu-1"), ("rack", "b7")]).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ChangeError`]; then nothing has changed.
    pub async fn merge_tags<K: Into<String>, V: Into<String>>(
        &self,
        tags: impl IntoIterator<Item = (K, V)>,
    ) -> Result<(), ChangeError> {
        self.edit_record(RecordEdit::MergeTags(owned(tags))).await
    }

    /// Removes the tags of these keys; a key that is not there is no error.
    ///
    /// # Errors
    /// [`ChangeError::Stopped`].
    pub async fn remove_tags<K: Into<String>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<(), ChangeError> {
        let keys = keys.into_iter().map(Into::into).collect();
        self.edit_record(RecordEdit::RemoveTags(keys)).await
    }

    /// Offers a service, for as long as what is returned is kept.
    ///
    /// ```no_run
    /// # async fn run(cluster: chisme::Cluster) -> Result<(), chisme::ChangeError> {
    /// use chisme::{Service, ServiceStatus};
    ///
    /// let billing = Service::new("billing", 8080).version("2.3").status(ServiceStatus::Starting);
    /// let registration = cluster.register(billing).await?;
    /// // ... when it can take work:
    /// registration.set_status(ServiceStatus::Running).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ChangeError`]; a name that this node has registered already is one.
    pub async fn register(&self, service: Service) -> Result<Registration, ChangeError> {
        // Before it is asked for: should nobody wait for the answer, the guard still ends it.
        let registration = Registration::new(Arc::downgrade(self.wires()), service.name.clone());
        self.edit_as(Some(registration.guard()), RecordEdit::Register(service)).await?;
        Ok(registration)
    }

    /// Changes the status of a service of this node.
    ///
    /// # Errors
    /// [`ChangeError`] if it is not registered.
    pub async fn set_status(&self, name: &str, status: ServiceStatus) -> Result<(), ChangeError> {
        self.edit_record(RecordEdit::SetStatus { name: name.to_owned(), status }).await
    }

    /// Has nothing new come to a service of this node; what it has it may finish.
    ///
    /// # Errors
    /// [`ChangeError`] if it is not registered.
    pub async fn drain(&self, name: &str) -> Result<(), ChangeError> {
        self.set_status(name, ServiceStatus::Draining).await
    }

    /// Offers a service no longer, whoever registered it.
    ///
    /// # Errors
    /// [`ChangeError`] if it is not registered.
    pub async fn deregister(&self, name: &str) -> Result<(), ChangeError> {
        self.edit_record(RecordEdit::Deregister(name.to_owned())).await
    }

    /// Changes what this node says of itself, in any way that there is.
    ///
    /// # Errors
    /// [`ChangeError`]; then nothing has changed.
    pub async fn edit_record(&self, edit: RecordEdit) -> Result<(), ChangeError> {
        self.edit_as(None, edit).await
    }

    async fn edit_as(&self, guard: Option<GuardId>, edit: RecordEdit) -> Result<(), ChangeError> {
        let (answer, result) = oneshot::channel();
        self.request(Request::EditRecord { edit, guard, answer: Some(answer) }).await?;
        Ok(result.await.map_err(|_| Stopped)??)
    }
}

fn owned<K: Into<String>, V: Into<String>>(
    pairs: impl IntoIterator<Item = (K, V)>,
) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect()
}
