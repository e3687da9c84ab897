//! The engine of one machine: an ACID database in one file, with a thread of its own that waits for the disk.
//!
//! Every commit is synced before it is answered. The file is tried in memory before it is opened, so that one which is damaged is told
//! of and not written to. After an error of the disk the database is opened anew, since what it holds in memory may be more than the
//! file got; the lock is kept meanwhile.

mod disk;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{
    Database, DatabaseError, Durability, ReadableDatabase as _, ReadableTable as _, StorageError,
    TableDefinition, TableError,
};
use tokio::sync::{mpsc, oneshot};

use self::disk::Disk;
use super::error::StoreError;
use super::format::{self, FORMAT};
use super::{Batch, Documents, Saved, Standing, follows};

/// The name of the file in DATA_DIR.
pub const FILE_NAME: &str = "state.redb";
/// Calls that may wait for the thread.
const JOBS_MAX: usize = 16;
/// Memory for pages, in bytes.
const CACHE_BYTES: usize = 4 * 1024 * 1024;

const META: TableDefinition<'static, &str, u64> = TableDefinition::new("meta");
const DOCUMENTS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("documents");

enum Job {
    Load(oneshot::Sender<Result<Saved, StoreError>>),
    Commit(Batch, oneshot::Sender<Result<(), StoreError>>),
    Health(oneshot::Sender<Result<Standing, StoreError>>),
    Close(oneshot::Sender<()>),
}

/// The file of a state. Cheap to copy; it is closed with the last copy.
#[derive(Clone, Debug)]
pub struct Embedded {
    jobs: mpsc::Sender<Job>,
    path: Arc<Path>,
}

impl Embedded {
    /// Opens a file, or makes it. Afterwards everything in it can be read.
    ///
    /// # Errors
    /// The file cannot be opened, another process has it, it is damaged, or a newer release wrote it.
    pub async fn open(path: PathBuf) -> Result<Self, StoreError> {
        let (jobs, work) = mpsc::channel(JOBS_MAX);
        let (ready, opened) = oneshot::channel();
        let store = Self {
            jobs,
            path: path.into(),
        };
        let path = store.path.to_path_buf();
        let run = move || match Keeper::open(&path) {
            Ok(keeper) => {
                let _caller_may_be_gone = ready.send(Ok(()));
                keeper.run(work);
            }
            Err(error) => {
                let _caller_may_be_gone = ready.send(Err(error));
            }
        };
        let thread = std::thread::Builder::new().name("state".to_owned());
        thread.spawn(run).map_err(|error| StoreError::Unavailable {
            place: store.place(),
            what: error.to_string(),
        })?;
        opened.await.unwrap_or_else(|_| Err(store.ended()))?;
        Ok(store)
    }

    pub(super) async fn load(&self) -> Result<Saved, StoreError> {
        self.ask(Job::Load).await
    }

    pub(super) async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        self.ask(|answer| Job::Commit(batch, answer)).await
    }

    pub(super) async fn health(&self) -> Result<Standing, StoreError> {
        self.ask(Job::Health).await
    }

    /// Ends the thread, after which the file can be opened by others. Copies of this find it closed.
    pub async fn close(self) {
        let (answer, closed) = oneshot::channel();
        if self.jobs.send(Job::Close(answer)).await.is_ok() {
            let _closed = closed.await;
        }
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    async fn ask<T>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Job,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let sent = self.jobs.send(job(answer)).await;
        sent.map_err(|_| self.ended())?;
        answered.await.unwrap_or_else(|_| Err(self.ended()))
    }

    fn place(&self) -> String {
        self.path.display().to_string()
    }

    fn ended(&self) -> StoreError {
        StoreError::Unavailable {
            place: self.place(),
            what: "it was closed".to_owned(),
        }
    }
}

/// The thread's own: the lock, and the database where it is open.
struct Keeper {
    path: PathBuf,
    disk: Option<Disk>,
    database: Option<Database>,
}

impl Keeper {
    fn open(path: &Path) -> Result<Self, StoreError> {
        let mut keeper = Self {
            path: path.to_owned(),
            disk: None,
            database: None,
        };
        keeper.guarded(|keeper| keeper.database().map(|_| ()))?;
        Ok(keeper)
    }

    fn run(mut self, mut work: mpsc::Receiver<Job>) {
        while let Some(job) = work.blocking_recv() {
            match job {
                Job::Load(answer) => {
                    let _caller_may_be_gone = answer.send(self.guarded(Self::load));
                }
                Job::Commit(batch, answer) => {
                    let result = self.guarded(|keeper| keeper.commit(&batch));
                    let _caller_may_be_gone = answer.send(result);
                }
                Job::Health(answer) => {
                    let _caller_may_be_gone = answer.send(self.guarded(Self::health));
                }
                Job::Close(answer) => {
                    drop(self);
                    let _caller_may_be_gone = answer.send(());
                    return;
                }
            }
        }
    }

    /// Does it, and opens the database anew next time where it failed. A database that is damaged in a way that nobody thought of may
    /// panic; that is no reason to end.
    fn guarded<T>(
        &mut self,
        act: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let result = catch_unwind(AssertUnwindSafe(|| act(self)))
            .unwrap_or_else(|_| Err(damaged(&self.path, "reading it failed")));
        if !matches!(
            result,
            Ok(_) | Err(StoreError::Diverged { .. } | StoreError::Fenced { .. })
        ) {
            // Its end may fail in the same way.
            let database = self.database.take();
            let _ended = catch_unwind(AssertUnwindSafe(|| drop(database)));
        }
        result
    }

    fn database(&mut self) -> Result<&Database, StoreError> {
        if self.disk.as_ref().is_some_and(|disk| !disk.is_in_place()) {
            tracing::warn!(file = %self.path.display(), "the file of the state is gone; it is made anew");
            self.database = None;
            self.disk = None;
        }
        let disk = match self.disk.take() {
            Some(disk) => disk,
            None => Disk::open(&self.path)?,
        };
        let disk = &*self.disk.insert(disk);
        if self.database.is_none() {
            try_in_memory(&self.path, disk)?;
            let database = open_database(&self.path, disk.clone())?;
            return Ok(self.database.insert(database));
        }
        self.database
            .as_ref()
            .ok_or_else(|| damaged(&self.path, "it is not open"))
    }

    fn load(&mut self) -> Result<Saved, StoreError> {
        let path = self.path.clone();
        read(&path, self.database()?)
    }

    fn health(&mut self) -> Result<Standing, StoreError> {
        let path = self.path.clone();
        let (standing, _) = meta(self.database()?).map_err(|error| classify(&path, error))?;
        Ok(standing)
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let path = self.path.clone();
        let database = self.database()?;
        let (found, found_format) = meta(database).map_err(|error| classify(&path, error))?;
        if batch.fence < found.fence {
            return Err(StoreError::Fenced {
                place: path.display().to_string(),
                fence: batch.fence,
                holder: format!("fence {} came after it", found.fence),
            });
        }
        if !follows(batch, found, found_format) {
            return Err(StoreError::Diverged {
                place: path.display().to_string(),
                expected: batch.after.unwrap_or_default(),
                found,
            });
        }
        write(database, batch).map_err(|error| classify(&path, error))
    }
}

fn open_database(path: &Path, disk: impl redb::StorageBackend) -> Result<Database, StoreError> {
    Database::builder()
        .set_cache_size(CACHE_BYTES)
        .create_with_backend(disk)
        .map_err(|error| match error {
            DatabaseError::Storage(error) => classify(path, error.into()),
            DatabaseError::DatabaseAlreadyOpen => StoreError::InUse {
                place: path.display().to_string(),
            },
            error => damaged(path, &error.to_string()),
        })
}

/// Opens a copy of the file and reads everything in it.
fn try_in_memory(path: &Path, disk: &Disk) -> Result<(), StoreError> {
    let copy = disk
        .copy()
        .map_err(|error| classify(path, redb::Error::Io(error)))?;
    // What the file lacks is damage here, where no disk can fail.
    let result = open_database(path, copy).and_then(|database| read(path, &database));
    match result {
        Ok(_) => Ok(()),
        Err(StoreError::Unavailable { what, .. } | StoreError::Full { what, .. }) => {
            Err(damaged(path, &what))
        }
        Err(error) => Err(error),
    }
}

fn read(path: &Path, database: &Database) -> Result<Saved, StoreError> {
    let (standing, format) = meta(database).map_err(|error| classify(path, error))?;
    if format > FORMAT {
        return Err(StoreError::Newer {
            place: path.display().to_string(),
            found: format,
            known: FORMAT,
        });
    }
    let sealed = sealed(database).map_err(|error| classify(path, error))?;
    let mut documents = Documents::new();
    for (key, sealed) in sealed {
        let bytes = format::unseal(&key, &sealed)
            .ok_or_else(|| damaged(path, &format!("document `{key}` is not what was written")))?;
        documents.insert(key.into(), bytes);
    }
    format::bring_up(&path.display().to_string(), format, &mut documents)?;
    Ok(Saved {
        revision: standing.revision,
        fence: standing.fence,
        writes: standing.writes,
        format,
        documents,
    })
}

/// Where it stands, and in which format.
fn meta(database: &Database) -> Result<(Standing, u32), redb::Error> {
    let transaction = database.begin_read()?;
    let table = match transaction.open_table(META) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => {
            return Ok((Standing::default(), FORMAT));
        }
        Err(error) => return Err(error.into()),
    };
    let number = |key: &str| Ok::<_, redb::Error>(table.get(key)?.map_or(0, |value| value.value()));
    let standing = Standing {
        revision: number("revision")?,
        fence: number("fence")?,
        writes: number("writes")?,
    };
    Ok((
        standing,
        u32::try_from(number("format")?).unwrap_or(u32::MAX),
    ))
}

fn sealed(database: &Database) -> Result<Vec<(String, Vec<u8>)>, redb::Error> {
    let transaction = database.begin_read()?;
    let table = match transaction.open_table(DOCUMENTS) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    table
        .iter()?
        .map(|entry| {
            let (key, value) = entry?;
            Ok((key.value().to_owned(), value.value().to_vec()))
        })
        .collect()
}

fn write(database: &Database, batch: &Batch) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    {
        let mut documents = transaction.open_table(DOCUMENTS)?;
        if batch.after.is_none() {
            documents.retain(|_, _| false)?;
        }
        for (key, value) in &batch.puts {
            match value {
                Some(bytes) => drop(documents.insert(&**key, &*format::seal(key, bytes))?),
                None => drop(documents.remove(&**key)?),
            }
        }
        let mut meta = transaction.open_table(META)?;
        meta.insert("format", u64::from(FORMAT))?;
        meta.insert("revision", batch.revision)?;
        meta.insert("fence", batch.fence)?;
        meta.insert("writes", batch.writes)?;
    }
    transaction.commit()?;
    Ok(())
}

fn classify(path: &Path, error: redb::Error) -> StoreError {
    use std::io::ErrorKind;
    let place = path.display().to_string();
    match error {
        redb::Error::Io(error) => {
            let what = error.to_string();
            match error.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                    StoreError::Full { place, what }
                }
                ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => {
                    StoreError::ReadOnly { place, what }
                }
                ErrorKind::InvalidData | ErrorKind::UnexpectedEof => damaged(path, &what),
                _ => StoreError::Unavailable { place, what },
            }
        }
        redb::Error::PreviousIo | redb::Error::DatabaseClosed => StoreError::Unavailable {
            place,
            what: "the disk failed".to_owned(),
        },
        error => damaged(
            path,
            &StorageError::Corrupted(error.to_string()).to_string(),
        ),
    }
}

fn damaged(path: &Path, what: &str) -> StoreError {
    StoreError::Corrupt {
        place: path.display().to_string(),
        what: what.to_owned(),
        way_out: format!(
            "move it away to start with nothing saved, and take an export in with `stream-manager state import FILE` where there is one (`{}` is the file)",
            path.display()
        ),
    }
}
