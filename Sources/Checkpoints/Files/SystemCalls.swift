import Torch

#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

extension MingleError {
  /// The error of a system call that failed, with the cause's text and what to do about it.
  ///
  /// A path that does not exist is a missing input, everything else a failure.
  package init(systemCall what: String, path: String, code: CInt = errno) {
    let next: String? =
      switch code {
      case ENOENT, ENOTDIR: "check the path's spelling, or create the folder first"
      case EACCES, EPERM: "check the permissions of the file and of its folder"
      case EROFS: "choose a folder on a disk that can be written"
      case ENOSPC, EDQUOT, EFBIG: "free some space, or choose a folder on another disk"
      case EMFILE, ENFILE: "raise the limit of open files (ulimit -n)"
      case ENOMEM: "close other programs, or use a machine with more memory"
      default: nil
      }
    self.init(
      code == ENOENT || code == ENOTDIR ? .missingInput : .failed,
      "\(what) (\(String(cString: strerror(code))))", in: path, next: next)
  }
}

/// What the system says about a path; symbolic links are followed.
enum PathStatus {
  case missing, file, folder
  /// A device, pipe or socket.
  case special

  /// - Throws: `MingleError` when the system cannot say, for example for a lack of permission.
  init(of path: String) throws {
    var status = stat()
    guard stat(path, &status) == 0 else {
      guard errno == ENOENT || errno == ENOTDIR else {
        throw MingleError(systemCall: "cannot be looked at", path: path)
      }
      self = .missing
      return
    }
    self.init(mode: status.st_mode)
  }

  init(mode: mode_t) {
    switch mode & S_IFMT {
    case S_IFREG: self = .file
    case S_IFDIR: self = .folder
    default: self = .special
    }
  }
}

/// `runs/last` for `runs/last/`.
func withoutTrailingSlashes(_ path: String) -> String {
  let end = path.lastIndex { $0 != "/" }
  return end.map { String(path[...$0]) } ?? path
}

/// The folder that holds `path`: `"."` for a bare name.
func parentFolder(of path: String) -> String {
  guard let slash = path.lastIndex(of: "/") else { return "." }
  return slash == path.startIndex ? "/" : String(path[..<slash])
}

/// Waits until the file or folder with this descriptor is on the disk.
func synchronize(_ descriptor: CInt, path: String) throws {
  #if canImport(Darwin)
    // fsync leaves the data in the drive's own cache there; not every file system has more.
    if fcntl(descriptor, F_FULLFSYNC) == 0 { return }
  #endif
  // Pipes, devices and some network folders know no fsync.
  guard fsync(descriptor) == 0 || errno == EINVAL || errno == ENOTSUP else {
    throw MingleError(systemCall: "cannot be brought to the disk", path: path)
  }
}

/// Waits until the names inside a folder, or the bytes of a file, are on the disk.
func synchronize(path: String) throws {
  let descriptor = open(path, O_RDONLY | O_CLOEXEC)
  guard descriptor >= 0 else { throw MingleError(systemCall: "cannot be opened", path: path) }
  defer { close(descriptor) }
  try synchronize(descriptor, path: path)
}
