//! Both back ends obey the contract.

mod memory {
    use std::sync::Arc;

    use netdisk_storage::{Accounts, MemoryStore};

    netdisk_storage::storage_contract!((Arc::new(MemoryStore::new()) as Arc<dyn Accounts>, ()));
}

mod disk {
    use std::sync::Arc;

    use netdisk_storage::{Accounts, DiskStore};

    fn open() -> (Arc<dyn Accounts>, tempfile::TempDir) {
        let data = tempfile::tempdir().expect("a temporary directory");
        (Arc::new(DiskStore::open(data.path()).expect("a store")), data)
    }

    netdisk_storage::storage_contract!(open());
}
