"""Every kind of Wan the host can sample: its class, its shape, and what its nodes give it.

Import it only after the host (fixture ``host``).
"""

from kind import Kind, counting, of, total
from kind_patches import infinite_talk, uni3c
from wan_inputs import Glance, StandInVAE, clip, heard, made, mask, noise, seen

__all__ = ["ANIMATE", "KINDS", "counting", "total"]
I2V = {"model_type": "i2v", "in_dim": 36}
VACE = {"model_type": "vace", "vace_layers": 2, "vace_in_dim": 96}
S2V = {"model_type": "s2v", "num_layers": 5}
DANCING = {"model_type": "animate", "in_dim": 36, "num_layers": 5}
DANCER = {"model_type": "wandancer", "in_dim": 36, "num_layers": 5}
TI2V = {"in_dim": 48, "out_dim": 48}
TALKING = {**I2V, "dim": 640, "num_heads": 5, "num_layers": 3}
ALONE = {"how": {"cfg": 1.0}, "one_row": True}
"""Hosts before 0.30 give WanDancer a frame rate for each row, which its forward cannot take."""
IMAGE, SIGHT = "concat_latent_image", "clip_vision_output"
ANIMATED = ("face_video_pixels", "pose_video_latent", IMAGE, SIGHT)


def vace_twice(model, *prompts):
    """Two control clips, the second at half strength."""
    first = made("WanVaceToVideo", *prompts, **controls(30))[:2]
    return model, *made("WanVaceToVideo", *first, strength=0.5, **controls(40))[:3]


def controls(seed):
    """A control clip, and where to follow it."""
    return {"control_video": clip(seed), "control_masks": mask(seed + 1)}


def first_frame(*model_and_prompts):
    """TI2V-5B: a latent whose first frame is given, and a mask that says so."""
    shape = {"vae": StandInVAE(48, 16), "width": 128, "height": 128}
    latent = made("Wan22ImageToVideoLatent", start_image=clip(3, 1, 128), **shape)[0]
    return *model_and_prompts, latent


def subjects(model, *prompts):
    """Phantom: pictures behind the clip."""
    positive, _, negative, latent = made("WanPhantomSubjectToVideo", *prompts, images=clip(5, 2))
    return model, positive, negative, latent


def camera():
    """A start image and the path of a camera."""
    path = made("WanCameraEmbedding", camera_pose="Pan Up")[0]
    return {"start_image": clip(3, 1), "camera_conditions": path}


def dance(fps):
    """WanDancer: music, and what CLIP sees of the first frame and of the dancer."""
    music = {"audio_feature": noise(7, 1, 40, 35), "fps": fps}
    pictures = {SIGHT: seen(8), "clip_vision_output_ref": seen(9)}
    return lambda: {"audio_encoder_output": music, "start_image": clip(3, 1), **pictures}


def dancing():
    """Animate: who it is, how he moves, and his face."""
    return {
        "reference_image": clip(3, 1), "pose_video": clip(4), "face_video": clip(5, 1),
        SIGHT: seen(8),
    }  # fmt: skip


def glancing(model):
    """Faces are looked at in passing: Animate's own eyes take 10 s of a CPU for two of them."""
    model.model.diffusion_model.motion_encoder.enc.net_app = Glance()


def posed():
    """A dancer and the poses to take."""
    pictures = {"reference_image": clip(3, 1), "reference_image_mask": clip(6, 1).round()}
    poses = {"pose_video": clip(4), "pose_video_mask": clip(5).round()}
    return {**pictures, **poses, SIGHT: seen(8)}


def voiced(layers, width):
    """A voice, and who speaks with it."""
    voice = heard(7, layers, width)
    return lambda: {"audio_encoder_output": voice, "ref_image": clip(3, 1)}


ANIMATE = of("WanAnimateToVideo", DANCING, ANIMATED, dancing, how={"cfg": 1.0, "steps": 1})
"""Animate with eyes of its own."""

KINDS = {
    "T2V": Kind({}),
    "I2V 2.1": of("WanImageToVideo", I2V, (IMAGE, SIGHT), lambda: {
        "start_image": clip(3, 1), SIGHT: seen(8)}),
    "I2V 2.2": of("WanImageToVideo", {"in_dim": 36}, (IMAGE,), lambda: {
        "start_image": clip(3, 1)}),
    "FLF2V": of("WanFirstLastFrameToVideo", {**I2V, "flf_pos_embed_token_number": 10},
        (IMAGE, SIGHT), lambda: {"start_image": clip(3, 1), "end_image": clip(4, 1),
            "clip_vision_start_image": seen(8), "clip_vision_end_image": seen(9)}),
    "TI2V 5B, text": Kind(TI2V),
    "TI2V 5B, image": Kind(TI2V, first_frame, {"noise_mask": None},
        needs=("Wan22ImageToVideoLatent",)),
    "Fun InP": of("WanFunInpaintToVideo", I2V, (IMAGE, SIGHT), lambda: {
        "start_image": clip(3, 1), "end_image": clip(4, 1), SIGHT: seen(8)}),
    "Fun Control 2.1": of("WanFunControlToVideo", {**I2V, "in_dim": 48}, (IMAGE, SIGHT), lambda: {
        "start_image": clip(3, 1), "control_video": clip(4), SIGHT: seen(8)}),
    "Fun Control 2.2": of("Wan22FunControlToVideo", {"in_dim": 52, "in_dim_ref_conv": 16},
        (IMAGE, "reference_latents"), lambda: {
            "ref_image": clip(3, 1), "control_video": clip(4)}),
    "VACE": of("WanVaceToVideo", VACE, {"vace_strength": [0.0], "vace_frames": None},
        lambda: {**controls(30), "reference_image": clip(3, 1)}, between=("vace_blocks",)),
    "VACE, two clips": Kind(VACE, vace_twice, {"vace_strength": [1.0, 0.0]}, ("vace_blocks",),
        needs=("WanVaceToVideo",)),
    "Camera 2.1": of("WanCameraImageToVideo", {"model_type": "camera", "in_dim": 32},
        (IMAGE, SIGHT, "camera_conditions"), lambda: {**camera(), SIGHT: seen(8)}),
    "Camera 2.2": of("WanCameraImageToVideo", {"model_type": "camera_2.2", "in_dim": 36},
        (IMAGE, "camera_conditions"), camera),
    "S2V": of("WanSoundImageToVideo", S2V,
        ("audio_embed", "reference_latents", "reference_motion", "control_video"),
        lambda: {**voiced(25, 1024)(), "control_video": clip(4), "ref_motion": clip(5, 20)},
        between=("audio_injector.injector",), encoders=("casual_audio_encoder",)),
    "HuMo 1.7B": of("WanHuMoImageToVideo", {"model_type": "humo"},
        ("audio_embed", "reference_latents"), voiced(33, 1280), encoders=("audio_proj",)),
    "HuMo 17B": of("WanHuMoImageToVideo", {"model_type": "humo", "in_dim": 36},
        ("audio_embed", "reference_latents"), voiced(33, 1280), encoders=("audio_proj",)),
    "Animate": of("WanAnimateToVideo", DANCING, ANIMATED, dancing, prepare=glancing,
        between=("face_adapter",), encoders=("motion_encoder", "face_encoder")),
    "SCAIL": of("WanSCAILToVideo", {"model_type": "scail", "in_dim": 20},
        ("pose_video_latent", "reference_latents", SIGHT), posed),
    "SCAIL-2": of("WanSCAILToVideo", {"model_type": "scail2", "in_dim": 20},
        ("pose_video_latent", "driving_mask_28ch", "ref_mask_28ch", SIGHT), posed),
    "WanDancer": of("WanDancerVideo", DANCER, ("audio_embed", IMAGE, "clip_vision_output_ref"),
        dance(30.0), between=("music_injector.injector",), encoders=("music_encoder",), **ALONE),
    "WanDancer, other rate": of("WanDancerVideo", DANCER, ("audio_embed", "fps"), dance(7.5),
        between=("music_injector.injector",), encoders=("music_encoder",), **ALONE),
    "Phantom": Kind({}, subjects, {"time_dim_concat": None}, needs=("WanPhantomSubjectToVideo",)),
    "Bernini": of("BerniniConditioning", {}, ("context_latents",), lambda: {
        "source_video": clip(4), "reference_images": {"reference_image_0": clip(5, 2, 48)}}),
    "Causal, other samplers": Kind({},
        stated={"causal_ar": True}, needs=("SamplerARVideo",), cls="CausalWanModel"),
    "FlowRVS": Kind({}, stated={"model_type": "flow_rvs"}),
    "Uni3C": Kind({}, uni3c, {"patch": None}, ("patch.",), needs=("WanUni3CControlnetApply",)),
    "Uni3C on I2V": Kind(I2V, uni3c, {"patch": None}, ("patch.",),
        needs=("WanUni3CControlnetApply",)),
    "InfiniteTalk": Kind(TALKING, infinite_talk(1), {"patch": None}, within=("patch.",),
        needs=("WanInfiniteTalkToVideo",), how={"cfg": 1.0}, one_row=True),
    "InfiniteTalk, two speakers": Kind(TALKING, infinite_talk(2), {"patch": None},
        within=("patch.",), needs=("WanInfiniteTalkToVideo",), how={"cfg": 1.0}, one_row=True),
}  # fmt: skip
