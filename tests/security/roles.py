"""The one declared table: which built-in roles may make which call.

A new RPC needs a row; without one the suite fails. The rest is not declared but derived: which
permission a call needs, and which field names its machine, stands in the proto's access option.
"""

from __future__ import annotations

ADMIN = frozenset({"admin"})
AUDIT = ADMIN | {"auditor"}
ENGINEERING = ADMIN | {"engineer"}
SHOP_FLOOR = ENGINEERING | {"operator"}
CONTROL = ADMIN | {"operator", "gateway"}
"""Who speaks for a control."""
SHOP = SHOP_FLOOR | {"auditor", "viewer"}
"""Who reads how the shop is set up."""
ALL = SHOP | {"gateway"}
EVERYBODY = ALL | {""}
"""Without a credential, too."""

MAY: dict[str, frozenset[str]] = {
    "AuditService.ExportAudit": AUDIT,
    "AuditService.GetAuditHead": AUDIT,
    "AuditService.ListSecurityEvents": AUDIT,
    "AuditService.VerifyAuditChain": AUDIT,
    "AuthService.GetSigningKeys": EVERYBODY,
    # Those of another; everybody may list and end their own.
    "AuthService.ListSessions": ADMIN,
    "AuthService.Login": EVERYBODY,
    "AuthService.Logout": ALL,
    "AuthService.RefreshToken": EVERYBODY,
    "AuthService.RevokeSession": ADMIN,
    "AuthService.WhoAmI": ALL,
    "BindingService.BatchBindTools": SHOP_FLOOR,
    "BindingService.BindTool": SHOP_FLOOR,
    "BindingService.ListBindings": SHOP,
    "BindingService.MoveTool": SHOP_FLOOR,
    "BindingService.UnbindTool": SHOP_FLOOR,
    # Of a tool; of whatever a role does not read, it may not.
    "ChangeService.GetResourceAt": SHOP,
    "ChangeService.ListChanges": ALL,
    "ChangeService.WatchChanges": ALL,
    "IdentityService.BatchGetActors": ALL,
    # That of another; everybody may change their own.
    "IdentityService.ChangePassword": ADMIN,
    "IdentityService.CreateApiKey": ADMIN,
    "IdentityService.CreateRole": ADMIN,
    "IdentityService.CreateUser": ADMIN,
    "IdentityService.DeleteRole": ADMIN,
    "IdentityService.DeleteUser": ADMIN,
    "IdentityService.EraseUser": ADMIN,
    "IdentityService.GetApiKey": AUDIT,
    "IdentityService.GetRole": AUDIT,
    "IdentityService.GetUser": AUDIT,
    "IdentityService.ListApiKeys": AUDIT,
    "IdentityService.ListRoles": AUDIT,
    "IdentityService.ListUsers": AUDIT,
    "IdentityService.RevokeApiKey": ADMIN,
    "IdentityService.UpdateRole": ADMIN,
    "IdentityService.UpdateUser": ADMIN,
    "JobService.ActivateJob": SHOP_FLOOR,
    "JobService.CreateJob": SHOP_FLOOR,
    "JobService.EndJob": SHOP_FLOOR,
    "JobService.GetJob": SHOP,
    "JobService.ListJobs": SHOP,
    "MachineService.ConfirmMachineProfile": ENGINEERING,
    "MachineService.ConfirmToolTable": CONTROL,
    "MachineService.CreateMachine": ENGINEERING,
    "MachineService.DeleteMachine": ENGINEERING,
    "MachineService.GetMachine": ALL,
    "MachineService.GetMachineStatus": ALL,
    "MachineService.GetToolTableEntry": ALL,
    "MachineService.ListMachines": ALL,
    "MachineService.ListToolTableEntries": ALL,
    "MachineService.PushToolTable": CONTROL,
    "MachineService.UpdateMachine": ENGINEERING,
    "ProgramService.GetProgram": SHOP,
    "ProgramService.GetProgramPin": SHOP,
    "ProgramService.ListProgramPins": SHOP,
    "ProgramService.ListPrograms": SHOP,
    "ProgramService.PinProgramTools": ENGINEERING,
    "ProgramService.UnpinProgramTools": ENGINEERING,
    "ProgramService.UploadProgram": ENGINEERING,
    "ToolService.BatchCreateToolTypes": ENGINEERING,
    "ToolService.BatchCreateTools": ENGINEERING,
    "ToolService.BatchDeleteToolTypes": ENGINEERING,
    "ToolService.BatchDeleteTools": ENGINEERING,
    "ToolService.BatchGetToolTypes": SHOP,
    "ToolService.BatchGetTools": SHOP,
    "ToolService.BatchUpdateToolTypes": ENGINEERING,
    "ToolService.BatchUpdateTools": ENGINEERING,
    "ToolService.CreateTool": ENGINEERING,
    "ToolService.CreateToolType": ENGINEERING,
    "ToolService.DeleteTool": ENGINEERING,
    "ToolService.DeleteToolType": ENGINEERING,
    "ToolService.GetTool": SHOP,
    "ToolService.GetToolType": SHOP,
    "ToolService.ListToolTypes": SHOP,
    "ToolService.ListTools": SHOP,
    "ToolService.SetToolCondition": SHOP_FLOOR,
    "ToolService.UpdateTool": ENGINEERING,
    "ToolService.UpdateToolType": ENGINEERING,
    "ToolSetService.CreateToolSet": ENGINEERING,
    "ToolSetService.DeleteToolSet": ENGINEERING,
    "ToolSetService.GetToolSet": SHOP,
    "ToolSetService.ListToolSets": SHOP,
    "ToolSetService.UpdateToolSet": ENGINEERING,
    "VerificationService.GetReadiness": ALL,
    "VerificationService.VerifyProgram": SHOP_FLOOR,
    "VerificationService.VerifyToolSet": SHOP_FLOOR,
}

READS = ("BatchGet", "Export", "Get", "List", "Verify", "Watch", "WhoAmI")
"""How the names of calls begin that change nothing."""


def reads(name: str) -> bool:
    """Whether a call changes nothing, whatever it asks for."""
    return name.partition(".")[2].startswith(READS)
