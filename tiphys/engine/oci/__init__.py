"""Steps in their own images: found in the machine's image storage by buildah, run by runc, as a kubelet would.

`storage` finds images and shows their files, `security` and `config` say how a container runs. What is done in the step's
own process (an overlay on the image, its files, its outputs) is in `launcher/bundle.py`.
"""
