/// The version of Mingle, as in CHANGELOG.
package let mingleVersion = "0.1.0"
