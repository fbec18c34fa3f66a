import Mingle
print("mingle")
