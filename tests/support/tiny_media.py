"""Pictures, clips and sounds of random content, small and short."""

import wave

import av
import numpy as np
from PIL import Image

SIDE, FRAMES = 64, 17
RATE, SECONDS = 16000, 2


def write_image(path):
    """A picture of 64 by 64."""
    Image.fromarray(pixels(1)[0]).save(path, format="PNG")


def write_video(path):
    """An MP4 of 17 frames."""
    with av.open(str(path), "w", format="mp4") as file:
        stream = file.add_stream("libx264", rate=16, options={"crf": "30"})
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuv420p"
        for frame in pixels(FRAMES):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        file.mux(stream.encode())


def write_audio(path):
    """Two seconds of noise as WAV, whatever the name: readers look inside."""
    samples = np.random.default_rng(0).normal(size=RATE * SECONDS) * 4000
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.astype("<i2").tobytes())


def pixels(frames):
    """Random frames [frames, 64, 64, 3] in 0..255."""
    return np.random.default_rng(0).integers(0, 256, (frames, SIDE, SIDE, 3), dtype=np.uint8)
