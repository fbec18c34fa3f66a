import CSystem
import Torch

#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// Replaces a folder of files, such as a run's `last`, so that at any moment, also after `kill -9` or
/// a power cut, ``readableFolder(at:)`` finds a complete one: the old or the new.
///
/// `body` fills `PATH.tmp`, which is then brought to the disk and exchanged with `PATH` in one step;
/// the old folder is deleted last. Where the file system cannot exchange (some network folders), the
/// old one is moved to `PATH.old` first. A crash between the two moves leaves no `PATH` but a complete
/// `PATH.old`: that is what readers then take, and the next write moves it back before it begins.
/// `PATH.tmp` is never read; whatever a crash left of it is deleted by the next write.
///
/// One process at a time may write a given path.
///
/// - Throws: `MingleError`, or what `body` throws. `PATH` is then as it was and `PATH.tmp` gone.
package func replaceFolder(at path: String, _ body: (_ folder: String) throws -> Void) throws {
  try replaceFolder(at: path, exchange: exchangeFolders, body)
}

/// The folder to read for `path`: itself, or `PATH.old` if a crash left only that; nil if neither.
package func readableFolder(at path: String) throws -> String? {
  let path = withoutTrailingSlashes(path)
  for candidate in [path, path + ".old"] where try PathStatus(of: candidate) == .folder {
    return candidate
  }
  return nil
}

/// Deletes a file, or a folder with everything in it; symbolic links are deleted, not followed.
/// What is not there needs no deleting.
package func removeTree(_ path: String) throws {
  var status = stat()
  guard lstat(path, &status) == 0 else {
    guard errno == ENOENT else { throw MingleError(systemCall: "cannot be deleted", path: path) }
    return
  }
  let isFolder = status.st_mode & S_IFMT == S_IFDIR
  if isFolder {
    for name in try entries(of: path) { try removeTree("\(path)/\(name)") }
  }
  guard (isFolder ? rmdir(path) : unlink(path)) == 0 || errno == ENOENT else {
    throw MingleError(systemCall: "cannot be deleted", path: path)
  }
}

/// ``replaceFolder(at:_:)`` with a chosen `exchange`, which returns false where it is not supported.
package func replaceFolder(
  at path: String, exchange: (_ new: String, _ old: String) throws -> Bool,
  _ body: (_ folder: String) throws -> Void
) throws {
  let path = withoutTrailingSlashes(path)
  let new = path + ".tmp"
  let old = path + ".old"
  if try PathStatus(of: path) == .missing, try PathStatus(of: old) == .folder {
    try move(old, to: path)
  }
  try removeTree(old)
  try removeTree(new)
  guard mkdir(new, 0o777) == 0 else {
    throw MingleError(systemCall: "the folder cannot be created", path: new)
  }
  do {
    try body(new)
    try synchronizeTree(new)
    if try PathStatus(of: path) == .missing {
      try move(new, to: path)
    } else if try !exchange(new, path) {
      try move(path, to: old)
      try move(new, to: path)
    }
  } catch {
    // The first error is the one to report; the next write deletes what stays.
    if (try? PathStatus(of: path)) == .missing { rename(old, path) }
    try? removeTree(new)
    throw error
  }
  try synchronize(path: parentFolder(of: path))
  try removeTree(old)
  try removeTree(new)
}

/// Exchanges two folders in one step; false where the system or file system cannot.
private func exchangeFolders(_ new: String, _ old: String) throws -> Bool {
  if system_exchange(new, old) == 0 { return true }
  guard [EINVAL, ENOSYS, ENOTSUP].contains(errno) else {
    throw MingleError(systemCall: "the folder cannot be replaced", path: old)
  }
  return false
}

private func move(_ source: String, to destination: String) throws {
  guard rename(source, destination) == 0 else {
    throw MingleError(systemCall: "the folder cannot be replaced", path: destination)
  }
}

/// Brings a folder's files and names to the disk.
private func synchronizeTree(_ folder: String) throws {
  for name in try entries(of: folder) {
    let path = "\(folder)/\(name)"
    switch try PathStatus(of: path) {
    case .folder: try synchronizeTree(path)
    case .file: try synchronize(path: path)
    case .special, .missing: break
    }
  }
  try synchronize(path: folder)
}

/// The names in a folder, without `.` and `..`.
func entries(of folder: String) throws -> [String] {
  guard let stream = opendir(folder) else {
    throw MingleError(systemCall: "the folder cannot be read", path: folder)
  }
  defer { closedir(stream) }
  var names: [String] = []
  while let entry = readdir(stream) {
    // The name is longer than its declared field in some file systems: read it where it lies.
    guard let field = MemoryLayout<dirent>.offset(of: \.d_name) else { continue }
    let name = String(
      cString: UnsafeRawPointer(entry).advanced(by: field).assumingMemoryBound(to: CChar.self))
    if name != ".", name != ".." { names.append(name) }
  }
  return names
}
