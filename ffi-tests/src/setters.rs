//! What `LgAlloc` has in common in its versions.

/// In the `impl` of a version's `LgAlloc`, for the fields that it has, with the path of its module:
/// `setters!(all "lgalloc_c")`, `setters!(path "lgalloc_c")`, `setters!(caches "lgalloc_c::v0_6")`.
macro_rules! setters {
    (all $version:literal) => {
        /// A configuration that changes nothing.
        ///
        /// ```
        #[doc = concat!("# use ", $version, "::LgAlloc;")]
        /// assert_eq!(LgAlloc::new(), LgAlloc::default());
        /// ```
        #[must_use]
        pub fn new() -> Self {
            Self::default()
        }

        /// Switches the allocator on.
        ///
        /// ```
        #[doc = concat!("# use ", $version, "::LgAlloc;")]
        /// assert_eq!(LgAlloc::new().enable().enabled, Some(true));
        /// ```
        pub fn enable(&mut self) -> &mut Self {
            self.enabled = Some(true);
            self
        }

        /// Switches it off: allocating fails, freeing goes on.
        ///
        /// ```
        #[doc = concat!("# use ", $version, "::LgAlloc;")]
        /// assert_eq!(LgAlloc::new().disable().enabled, Some(false));
        /// ```
        pub fn disable(&mut self) -> &mut Self {
            self.enabled = Some(false);
            self
        }

        /// Starts or changes the background worker.
        ///
        /// ```
        #[doc = concat!("# use ", $version, "::{BackgroundWorkerConfig, LgAlloc};")]
        /// let worker = BackgroundWorkerConfig::default();
        /// assert_eq!(LgAlloc::new().with_background_config(worker.clone()).background_config, Some(worker));
        /// ```
        pub fn with_background_config(&mut self, config: BackgroundWorkerConfig) -> &mut Self {
            self.background_config = Some(config);
            self
        }

        /// The options that all versions have.
        fn common_options(&self) -> Options {
            let mut options = Options::new();
            options.enabled = self.enabled;
            options.background = self.background_config.as_ref().map(BackgroundWorkerConfig::bounds);
            options
        }
    };

    (path $version:literal) => {
        /// Sets the directory for the files of new areas; existing regions stay where they are.
        ///
        /// ```
        #[doc = concat!("# use ", $version, "::LgAlloc;")]
        /// assert!(LgAlloc::new().with_path("/var/tmp".into()).path.is_some());
        /// ```
        pub fn with_path(&mut self, path: PathBuf) -> &mut Self {
            self.path = Some(path);
            self
        }
    };

    (caches $version:literal) => {
        /// Whether regions that leave a thread's cache are cleared at once.
        ///
        /// ```
        #[doc = concat!("# use ", $version, "::LgAlloc;")]
        /// assert_eq!(LgAlloc::new().eager_return(true).eager_return, Some(true));
        /// ```
        pub fn eager_return(&mut self, eager_return: bool) -> &mut Self {
            self.eager_return = Some(eager_return);
            self
        }

        /// What a thread's cache may hold per size class, in bytes.
        ///
        /// ```
        #[doc = concat!("# use ", $version, "::LgAlloc;")]
        /// assert_eq!(LgAlloc::new().local_buffer_bytes(8 << 20).local_buffer_bytes, Some(8 << 20));
        /// ```
        pub fn local_buffer_bytes(&mut self, local_buffer_bytes: usize) -> &mut Self {
            self.local_buffer_bytes = Some(local_buffer_bytes);
            self
        }
    };
}
