//! The guard of a service: it is offered as long as the guard is kept.

use std::sync::Weak;

use chisme_proto::{RecordEdit, ServiceStatus};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot;

use crate::driver::Request;
use crate::handle::Wires;
use crate::owners::GuardId;
use crate::{ChangeError, Stopped};

/// A service that this node offers. Dropping it deregisters the service, unless somebody else has
/// deregistered it before and its name was registered anew.
///
/// It does not keep the node running: that is what [`Cluster`](crate::Cluster) is for.
#[derive(Debug)]
#[must_use = "the service is deregistered when this is dropped"]
pub struct Registration {
    wires: Weak<Wires>,
    name: String,
    guard: GuardId,
    kept: bool,
}

impl Registration {
    pub(crate) fn new(wires: Weak<Wires>, name: String) -> Self {
        Self { wires, name, guard: GuardId::new(), kept: false }
    }

    pub(crate) const fn guard(&self) -> GuardId {
        self.guard
    }

    /// The name of the service.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Changes the status of the service.
    ///
    /// # Errors
    /// [`ChangeError`] if somebody else has deregistered or replaced it, or the node has stopped.
    pub async fn set_status(&self, status: ServiceStatus) -> Result<(), ChangeError> {
        let (answer, result) = oneshot::channel();
        let edit = RecordEdit::SetStatus { name: self.name.clone(), status };
        let wires = self.wires.upgrade().ok_or(Stopped)?;
        let request = Request::EditRecord { edit, guard: Some(self.guard), answer: Some(answer) };
        wires.requests.send(request).await.map_err(|_| Stopped)?;
        drop(wires);
        Ok(result.await.map_err(|_| Stopped)??)
    }

    /// Has nothing new come to the service.
    ///
    /// # Errors
    /// As [`set_status`](Self::set_status).
    pub async fn drain(&self) -> Result<(), ChangeError> {
        self.set_status(ServiceStatus::Draining).await
    }

    /// Leaves the service registered for as long as the node runs.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let Some(wires) = self.wires.upgrade().filter(|_| !self.kept) else { return };
        let edit = RecordEdit::Deregister(std::mem::take(&mut self.name));
        let request = Request::EditRecord { edit, guard: Some(self.guard), answer: None };
        if let Err(TrySendError::Full(request)) = wires.requests.try_send(request) {
            let requests = wires.requests.clone();
            // It waits its turn; a node that stops meanwhile has nothing registered any more.
            match tokio::runtime::Handle::try_current() {
                Ok(runtime) => drop(runtime.spawn(async move { requests.send(request).await })),
                Err(_) => drop(std::thread::spawn(move || requests.blocking_send(request))),
            }
        }
    }
}
